import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/** Makes a topic and writes to each of its partitions: BOOTSTRAP server, number of PARTITIONS. */
public final class Produce {
    public static void main(String[] words) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", words[0]);
        int partitions = Integer.parseInt(words[1]);
        try (Admin admin = Admin.create(settings)) {
            admin.createTopics(List.of(new NewTopic("orders", partitions, (short) 1))).all().get();
        }
        var text = new StringSerializer();
        try (var producer = new KafkaProducer<>(settings, text, text)) {
            for (int n = 0; n < 10 * partitions; n++) {
                producer.send(new ProducerRecord<>("orders", n % partitions, null, "order " + n)).get();
            }
        }
    }
}
