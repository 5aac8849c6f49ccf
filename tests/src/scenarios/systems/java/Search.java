import java.nio.file.Path;
import java.util.List;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.transport.Netty4Plugin;

/** A node of Elasticsearch: NAME, FOLDER, its own ADDRESS, the name by which it DISCOVERs the others. */
public final class Search extends Node {
    private Search(Environment environment) {
        super(environment, List.of(Netty4Plugin.class), true);
    }

    @Override
    protected void registerDerivedNodeNameWithLogger(String name) {}

    public static void main(String[] words) throws Exception {
        Settings settings = Settings.builder()
            .put("cluster.name", "shop")
            .put("node.name", words[0])
            .put("path.home", words[1])
            .put("network.host", words[2])
            .put("discovery.zen.ping.unicast.hosts", words[3])
            .put("discovery.zen.minimum_master_nodes", 2)
            .put("transport.type", "netty4")
            .put("transport.tcp.port", 9300)
            .put("http.type", "netty4")
            .put("http.port", 9200)
            .build();
        new Search(InternalSettingsPreparer.prepareEnvironment(settings, null)).start();
        Thread.currentThread().join();
    }
}
