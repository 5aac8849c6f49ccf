import com.datastax.oss.driver.api.core.CqlSession;
import java.net.InetSocketAddress;

/** Asks a ring of Cassandra by its contact point: NAME, how many TIMES. */
public final class Ask {
    public static void main(String[] words) throws Exception {
        var contact = new InetSocketAddress(words[0], 9042);
        var builder = CqlSession.builder().addContactPoint(contact).withLocalDatacenter("datacenter1");
        try (CqlSession session = builder.build()) {
            for (int n = 0; n < Integer.parseInt(words[1]); n++) {
                session.execute("SELECT host_id FROM system.local");
            }
        }
    }
}
