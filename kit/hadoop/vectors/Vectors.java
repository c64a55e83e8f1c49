// Prints the golden vectors of this folder with Hadoop's own classes:
//     java -cp 'lib/*' Vectors.java >hadoop.txt
// where lib/ holds org.apache.hadoop:{hadoop-common,hadoop-hdfs-client,hadoop-yarn-common}:3.4.3 and what they depend on
// (`mvn dependency:copy-dependencies`).
import java.io.*;
import java.util.*;
import org.apache.hadoop.hdfs.security.token.delegation.DelegationTokenIdentifier;
import org.apache.hadoop.crypto.key.kms.KMSDelegationToken.KMSDelegationTokenIdentifier;
import org.apache.hadoop.io.*;
import org.apache.hadoop.ipc.RPC;
import org.apache.hadoop.ipc.RpcConstants;
import org.apache.hadoop.ipc.protobuf.IpcConnectionContextProtos.*;
import org.apache.hadoop.ipc.protobuf.ProtobufRpcEngine2Protos.*;
import org.apache.hadoop.ipc.protobuf.RpcHeaderProtos.*;
import org.apache.hadoop.security.Credentials;
import org.apache.hadoop.security.proto.SecurityProtos.*;
import org.apache.hadoop.security.token.Token;
import org.apache.hadoop.security.token.TokenIdentifier;
import org.apache.hadoop.security.token.delegation.AbstractDelegationTokenIdentifier;
import org.apache.hadoop.thirdparty.protobuf.ByteString;
import org.apache.hadoop.thirdparty.protobuf.Message;
import org.apache.hadoop.util.ProtoUtil;
import org.apache.hadoop.yarn.security.client.RMDelegationTokenIdentifier;

public class Vectors {
  static final byte[] CLIENT = "0123456789abcdef".getBytes();

  static void print(String name, byte[] bytes) {
    StringBuilder line = new StringBuilder(name).append(' ');
    for (byte b : bytes) line.append(String.format("%02x", b));
    System.out.println(line);
  }

  static byte[] written(Writable value) throws IOException {
    DataOutputBuffer out = new DataOutputBuffer();
    value.write(out);
    return Arrays.copyOf(out.getData(), out.getLength());
  }

  static <T extends AbstractDelegationTokenIdentifier> T dated(T identifier) {
    identifier.setIssueDate(1700000000000L);
    identifier.setMaxDate(1700604800000L);
    identifier.setSequenceNumber(7);
    identifier.setMasterKeyId(200);
    return identifier;
  }

  static byte[] delimited(Message message) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    message.writeDelimitedTo(out);
    return out.toByteArray();
  }

  static byte[] file(Credentials credentials, Credentials.SerializedFormat format) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    credentials.writeTokenStorageToStream(new DataOutputStream(out), format);
    return out.toByteArray();
  }

  static void integers() throws IOException {
    long[] values = {0, 1, -1, 127, 128, 255, 256, -112, -113, -128, -129, -256, -257, 65535, 65536, Integer.MAX_VALUE,
      Integer.MIN_VALUE, 1700000000000L, -1700000000000L, 1L << 56, Long.MAX_VALUE, Long.MIN_VALUE};
    for (long value : values) print("vlong " + value, written(new VLongWritable(value)));
  }

  static void files(byte[] identifier) throws IOException {
    Token<TokenIdentifier> token = new Token<>(identifier, new byte[] {1, 2, 3, 4}, new Text("HDFS_DELEGATION_TOKEN"),
      new Text("127.0.0.1:8020"));
    System.out.println("token-url " + token.encodeToUrlString());
    Credentials one = new Credentials();
    print("file-empty-v0", file(one, Credentials.SerializedFormat.WRITABLE));
    print("file-empty-v1", file(one, Credentials.SerializedFormat.PROTOBUF));
    one.addToken(new Text("alias"), token);
    print("file-token-v0", file(one, Credentials.SerializedFormat.WRITABLE));
    print("file-token-v1", file(one, Credentials.SerializedFormat.PROTOBUF));
    one.addSecretKey(new Text("k"), "v".getBytes());
    print("file-token-and-secret-v0", file(one, Credentials.SerializedFormat.WRITABLE));
    print("file-token-and-secret-v1", file(one, Credentials.SerializedFormat.PROTOBUF));
  }

  static RpcResponseHeaderProto.Builder response(int call, RpcResponseHeaderProto.RpcStatusProto status) {
    return RpcResponseHeaderProto.newBuilder().setCallId(call).setStatus(status).setServerIpcVersionNum(9)
      .setClientId(ByteString.copyFrom(CLIENT)).setRetryCount(-1);
  }

  static void rpc() throws IOException {
    RPC.RpcKind kind = RPC.RpcKind.RPC_PROTOCOL_BUFFER;
    RpcRequestHeaderProto.OperationProto fin = RpcRequestHeaderProto.OperationProto.RPC_FINAL_PACKET;
    print("rpc-request-header-sasl",
      delimited(ProtoUtil.makeRpcRequestHeader(kind, fin, -33, RpcConstants.INVALID_RETRY_COUNT, RpcConstants.DUMMY_CLIENT_ID)));
    print("rpc-request-header-context",
      delimited(ProtoUtil.makeRpcRequestHeader(kind, fin, -3, RpcConstants.INVALID_RETRY_COUNT, CLIENT)));
    print("rpc-negotiate", delimited(RpcSaslProto.newBuilder().setState(RpcSaslProto.SaslState.NEGOTIATE).build()));
    RpcSaslProto.SaslAuth token = RpcSaslProto.SaslAuth.newBuilder().setMethod("TOKEN").setMechanism("DIGEST-MD5")
      .setProtocol("").setServerId("default").setChallenge(ByteString.copyFromUtf8("realm=\"default\"")).build();
    RpcSaslProto.SaslAuth kerberos = RpcSaslProto.SaslAuth.newBuilder().setMethod("KERBEROS").setMechanism("GSSAPI")
      .setProtocol("hdfs").setServerId("nn1.example.com").build();
    print("rpc-offer", delimited(RpcSaslProto.newBuilder().setVersion(0).setState(RpcSaslProto.SaslState.NEGOTIATE)
      .addAuths(token).addAuths(kerberos).build()));
    print("rpc-initiate", delimited(RpcSaslProto.newBuilder().setState(RpcSaslProto.SaslState.INITIATE)
      .setToken(ByteString.copyFromUtf8("ap-req")).addAuths(kerberos).build()));
    print("rpc-context", delimited(IpcConnectionContextProto.newBuilder()
      .setProtocol("org.apache.hadoop.hdfs.protocol.ClientProtocol").build()));
    print("rpc-context-proxy", delimited(IpcConnectionContextProto.newBuilder()
      .setUserInfo(UserInformationProto.newBuilder().setEffectiveUser("bob"))
      .setProtocol("org.apache.hadoop.hdfs.protocol.ClientProtocol").build()));
    print("rpc-request", delimited(RequestHeaderProto.newBuilder().setMethodName("getDelegationToken")
      .setDeclaringClassProtocolName("org.apache.hadoop.hdfs.protocol.ClientProtocol").setClientProtocolVersion(1).build()));
    print("rpc-response-success", delimited(response(0, RpcResponseHeaderProto.RpcStatusProto.SUCCESS).build()));
    print("rpc-response-error", delimited(response(0, RpcResponseHeaderProto.RpcStatusProto.ERROR)
      .setExceptionClassName("org.apache.hadoop.security.AccessControlException")
      .setErrorMsg("alice tries to renew a token with non-matching renewer yarn\n\tat java.lang.Thread.run(Thread.java:840)")
      .setErrorDetail(RpcResponseHeaderProto.RpcErrorCodeProto.ERROR_APPLICATION).build()));
    print("rpc-response-sasl", delimited(response(-33, RpcResponseHeaderProto.RpcStatusProto.SUCCESS)
      .setClientId(ByteString.EMPTY).build()));
    TokenProto issued = TokenProto.newBuilder().setIdentifier(ByteString.copyFrom(new byte[] {9}))
      .setPassword(ByteString.copyFrom(new byte[] {1, 2, 3, 4})).setKind("HDFS_DELEGATION_TOKEN").setService("").build();
    print("rpc-get-request", delimited(GetDelegationTokenRequestProto.newBuilder().setRenewer("alice").build()));
    print("rpc-get-response", delimited(GetDelegationTokenResponseProto.newBuilder().setToken(issued).build()));
    print("rpc-renew-request", delimited(RenewDelegationTokenRequestProto.newBuilder().setToken(issued).build()));
    print("rpc-renew-response", delimited(RenewDelegationTokenResponseProto.newBuilder().setNewExpiryTime(1700086400000L).build()));
    print("rpc-cancel-request", delimited(CancelDelegationTokenRequestProto.newBuilder().setToken(issued).build()));
  }

  public static void main(String[] arguments) throws Exception {
    integers();
    Text alice = new Text("alice@EXAMPLE.COM");
    byte[] hdfs = written(dated(new DelegationTokenIdentifier(alice, new Text("yarn"), new Text())));
    print("hdfs-identifier", hdfs);
    print("hdfs-identifier-proxy", written(dated(new DelegationTokenIdentifier(new Text("bob"), new Text("alice"), alice))));
    KMSDelegationTokenIdentifier kms = dated(new KMSDelegationTokenIdentifier());
    kms.setOwner(alice);
    kms.setRenewer(new Text("yarn"));
    print("kms-identifier", written(kms));
    print("yarn-identifier", written(dated(new RMDelegationTokenIdentifier(alice, new Text("yarn"), new Text()))));
    files(hdfs);
    rpc();
  }
}
