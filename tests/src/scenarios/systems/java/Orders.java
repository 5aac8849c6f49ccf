import com.mongodb.ReadPreference;
import com.mongodb.client.MongoClient;
import com.mongodb.client.MongoClients;
import org.bson.Document;

/** MongoDB's driver at work: writes to the primary, reads from secondaries, by a connection STRING. */
public final class Orders {
    public static void main(String[] words) {
        try (MongoClient client = MongoClients.create(words[0])) {
            var shop = client.getDatabase("shop");
            for (int n = 0; n < 20; n++) {
                shop.getCollection("orders").insertOne(new Document("n", n));
                shop.runCommand(new Document("ping", 1), ReadPreference.secondary());
            }
        }
    }
}
