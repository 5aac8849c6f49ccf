import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.Socket;
import java.security.Security;

/**
 * A client on the JVM, which keeps answers in a cache of its own: {@code java Dial NAME PORT SECONDS}, how long it keeps
 * them; -1 is for ever.
 *
 * <p>Reads numbers, a line each: that many connections, made and closed one after the other. Answers each with a line:
 * connections made, and attempts that failed. Ends with its input, or after five minutes.
 */
public final class Dial {
    private Dial() {}

    public static void main(String[] words) throws Exception {
        Security.setProperty("networkaddress.cache.ttl", words[2]);
        Thread end = new Thread(Dial::endLater);
        end.setDaemon(true);
        end.start();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            int made = 0;
            int failed = 0;
            for (int i = Integer.parseInt(line.trim()); i > 0; i--) {
                try (Socket socket = new Socket(words[0], Integer.parseInt(words[1]))) {
                    made++;
                } catch (java.io.IOException refused) {
                    failed++;
                }
            }
            System.out.println(made + " " + failed);
        }
    }

    private static void endLater() {
        try {
            Thread.sleep(300_000);
        } catch (InterruptedException early) {
            return;
        }
        Runtime.getRuntime().halt(1);
    }
}
