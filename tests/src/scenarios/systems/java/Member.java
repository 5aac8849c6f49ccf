import java.io.DataInputStream;
import java.io.IOException;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import org.bson.BsonArray;
import org.bson.BsonBinaryWriter;
import org.bson.BsonBoolean;
import org.bson.BsonDocument;
import org.bson.BsonDouble;
import org.bson.BsonInt32;
import org.bson.BsonString;
import org.bson.RawBsonDocument;
import org.bson.codecs.BsonDocumentCodec;
import org.bson.codecs.EncoderContext;
import org.bson.io.BasicOutputBuffer;

/**
 * What drivers take for a member of a MongoDB replica set: NAME:PORT of this one, those of all MEMBERS with commas between,
 * the primary first. It answers hello as the protocol has it, and says of anything else that it is done. It keeps nothing.
 */
public final class Member {
    private static final int REPLY = 1;
    private static final int QUERY = 2004;
    private static final int MESSAGE = 2013;
    private static final int HEADER = 16;

    private final String self;
    private final List<String> members;

    private Member(String self, List<String> members) {
        this.self = self;
        this.members = members;
    }

    public static void main(String[] words) throws IOException {
        Member member = new Member(words[0], List.of(words[1].split(",")));
        int port = Integer.parseInt(words[0].split(":")[1]);
        try (ServerSocket server = new ServerSocket(port)) {
            while (true) {
                Socket socket = server.accept();
                new Thread(() -> member.converse(socket)).start();
            }
        }
    }

    private void converse(Socket socket) {
        try (socket) {
            var in = new DataInputStream(socket.getInputStream());
            while (true) {
                ByteBuffer header = little(in.readNBytes(HEADER));
                if (header.limit() < HEADER) {
                    return;
                }
                int length = header.getInt(0);
                ByteBuffer body = little(in.readNBytes(length - HEADER));
                int operation = header.getInt(12);
                skipToDocument(operation, body);
                var command = new RawBsonDocument(body.array(), body.position(), body.getInt(body.position()));
                byte[] answer = reply(operation, header.getInt(4), bytes(answer(command)));
                socket.getOutputStream().write(answer);
            }
        } catch (IOException end) {
            // The driver has hung up.
        }
    }

    private static void skipToDocument(int operation, ByteBuffer body) {
        if (operation == MESSAGE) {
            body.position(5); // flags, kind of the section
            return;
        }
        body.position(4); // flags, name of the collection, what to skip and return
        while (body.get() != 0) {}
        body.position(body.position() + 8);
    }

    private static byte[] reply(int operation, int to, byte[] document) {
        ByteBuffer out = little(new byte[HEADER + 20 + document.length]);
        out.putInt(0).putInt(0).putInt(to);
        if (operation == QUERY) {
            out.putInt(REPLY).putInt(8).putLong(0).putInt(0).putInt(1);
        } else {
            out.putInt(MESSAGE).putInt(0).put((byte) 0);
        }
        out.put(document).putInt(0, out.position());
        return java.util.Arrays.copyOf(out.array(), out.position());
    }

    private BsonDocument answer(BsonDocument command) {
        var answer = new BsonDocument();
        String name = command.getFirstKey();
        if (name.equalsIgnoreCase("hello") || name.equalsIgnoreCase("ismaster")) {
            String primary = members.get(0);
            var isPrimary = BsonBoolean.valueOf(self.equals(primary));
            var hosts = new BsonArray();
            members.forEach(member -> hosts.add(new BsonString(member)));
            answer.append("helloOk", BsonBoolean.TRUE)
                .append("ismaster", isPrimary)
                .append("isWritablePrimary", isPrimary)
                .append("secondary", BsonBoolean.valueOf(!isPrimary.getValue()))
                .append("setName", new BsonString("shop"))
                .append("setVersion", new BsonInt32(1))
                .append("hosts", hosts)
                .append("primary", new BsonString(primary))
                .append("me", new BsonString(self))
                .append("maxBsonObjectSize", new BsonInt32(16 << 20))
                .append("maxMessageSizeBytes", new BsonInt32(48_000_000))
                .append("maxWriteBatchSize", new BsonInt32(100_000))
                .append("minWireVersion", new BsonInt32(0))
                .append("maxWireVersion", new BsonInt32(21))
                .append("logicalSessionTimeoutMinutes", new BsonInt32(30));
        } else if (name.equals("insert")) {
            answer.append("n", new BsonInt32(1));
        }
        return answer.append("ok", new BsonDouble(1));
    }

    private static byte[] bytes(BsonDocument document) {
        var buffer = new BasicOutputBuffer();
        new BsonDocumentCodec().encode(new BsonBinaryWriter(buffer), document, EncoderContext.builder().build());
        return buffer.toByteArray();
    }

    private static ByteBuffer little(byte[] bytes) {
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }
}
