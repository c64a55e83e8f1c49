// Prints the golden vectors of Hive's metastore with its own classes and those of Thrift:
//     java -cp 'lib/*' HiveVectors.java >hive.txt
// where lib/ holds org.apache.hive:hive-standalone-metastore-common:4.0.1 and what it depends on
// (`mvn dependency:copy-dependencies`).
import org.apache.hadoop.hive.metastore.api.MetaException;
import org.apache.hadoop.hive.metastore.api.ThriftHiveMetastore.*;
import org.apache.thrift.TApplicationException;
import org.apache.thrift.TBase;
import org.apache.thrift.protocol.TBinaryProtocol;
import org.apache.thrift.protocol.TMessage;
import org.apache.thrift.protocol.TMessageType;
import org.apache.thrift.transport.TMemoryBuffer;

public class HiveVectors {
  interface Body {
    void write(TBinaryProtocol protocol) throws Exception;
  }

  static void print(String name, String method, byte type, int number, Body body) throws Exception {
    TMemoryBuffer buffer = new TMemoryBuffer(256);
    TBinaryProtocol protocol = new TBinaryProtocol(buffer, false, true);
    protocol.writeMessageBegin(new TMessage(method, type, number));
    body.write(protocol);
    protocol.writeMessageEnd();
    StringBuilder line = new StringBuilder(name).append(' ');
    for (int i = 0; i < buffer.length(); i++) line.append(String.format("%02x", buffer.getArray()[i]));
    System.out.println(line);
  }

  public static void main(String[] arguments) throws Exception {
    byte call = TMessageType.CALL, reply = TMessageType.REPLY;
    String get = "get_delegation_token", renew = "renew_delegation_token", cancel = "cancel_delegation_token";
    print("hive-get-request", get, call, 1, new get_delegation_token_args("bob", "alice")::write);
    print("hive-renew-request", renew, call, 2, new renew_delegation_token_args("token")::write);
    print("hive-cancel-request", cancel, call, 3, new cancel_delegation_token_args("token")::write);
    get_delegation_token_result token = new get_delegation_token_result();
    token.setSuccess("token");
    print("hive-get-response", get, reply, 1, token::write);
    renew_delegation_token_result expiry = new renew_delegation_token_result();
    expiry.setSuccess(1700086400000L);
    print("hive-renew-response", renew, reply, 2, expiry::write);
    renew_delegation_token_result refused = new renew_delegation_token_result();
    refused.setO1(new MetaException("alice tries to renew a token with non-matching renewer yarn"));
    print("hive-renew-refused", renew, reply, 2, refused::write);
    print("hive-cancel-response", cancel, reply, 3, new cancel_delegation_token_result()::write);
    TApplicationException failure = new TApplicationException(TApplicationException.INTERNAL_ERROR, "Internal error processing " + get);
    print("hive-failure", get, TMessageType.EXCEPTION, 1, failure::write);
  }
}
