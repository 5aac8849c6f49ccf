import com.datastax.oss.driver.api.core.CqlSession;
import java.net.InetAddress;
import java.net.InetSocketAddress;

/** Asks a ring of Cassandra by its contact point: NAME, how many TIMES. */
public final class Ask {
    public static void main(String[] words) throws Exception {
        // Every address of the name is a contact point, as the driver does it with a name in its settings.
        var builder = CqlSession.builder().withLocalDatacenter("datacenter1");
        for (InetAddress address : InetAddress.getAllByName(words[0])) {
            builder.addContactPoint(new InetSocketAddress(address, 9042));
        }
        try (CqlSession session = builder.build()) {
            for (int n = 0; n < Integer.parseInt(words[1]); n++) {
                session.execute("SELECT host_id FROM system.local");
            }
        }
    }
}
