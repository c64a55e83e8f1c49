// Prints the golden vectors of HBase with its own classes, and with those of ZooKeeper:
//     java -cp 'lib/*' HBaseVectors.java >hbase.txt
// where lib/ holds org.apache.hbase:{hbase-client,hbase-zookeeper}:2.6.4-hadoop3 and what they depend on
// (`mvn dependency:copy-dependencies`).
import java.io.*;
import java.util.Arrays;
import org.apache.hadoop.hbase.HConstants;
import org.apache.hadoop.hbase.client.RegionInfoBuilder;
import org.apache.hadoop.hbase.client.RegionInfo;
import org.apache.hadoop.hbase.security.token.AuthenticationTokenIdentifier;
import org.apache.hadoop.hbase.shaded.protobuf.ProtobufUtil;
import org.apache.hadoop.hbase.protobuf.generated.AuthenticationProtos;
import org.apache.hadoop.hbase.shaded.protobuf.generated.ClientProtos.*;
import org.apache.hadoop.hbase.shaded.protobuf.generated.ClusterStatusProtos.RegionState;
import org.apache.hadoop.hbase.shaded.protobuf.generated.HBaseProtos.*;
import org.apache.hadoop.hbase.shaded.protobuf.generated.RPCProtos.ConnectionHeader;
import org.apache.hadoop.hbase.shaded.protobuf.generated.RPCProtos.ExceptionResponse;
import org.apache.hadoop.hbase.shaded.protobuf.generated.RPCProtos.RequestHeader;
import org.apache.hadoop.hbase.shaded.protobuf.generated.RPCProtos.ResponseHeader;
import org.apache.hadoop.hbase.shaded.protobuf.generated.RPCProtos.UserInformation;
import org.apache.hadoop.hbase.shaded.protobuf.generated.RegistryProtos.*;
import org.apache.hadoop.hbase.shaded.protobuf.generated.ZooKeeperProtos.*;
import org.apache.hadoop.hbase.zookeeper.ZKMetadata;
import org.apache.hbase.thirdparty.com.google.protobuf.ByteString;
import org.apache.hbase.thirdparty.com.google.protobuf.Message;
import org.apache.jute.BinaryOutputArchive;
import org.apache.jute.Record;
import org.apache.zookeeper.data.Stat;
import org.apache.zookeeper.proto.ConnectRequest;
import org.apache.zookeeper.proto.ConnectResponse;
import org.apache.zookeeper.proto.GetDataRequest;
import org.apache.zookeeper.proto.GetDataResponse;
import org.apache.zookeeper.proto.ReplyHeader;

public class HBaseVectors {
  static void print(String name, byte[] bytes) {
    StringBuilder line = new StringBuilder(name).append(' ');
    for (byte b : bytes) line.append(String.format("%02x", b));
    System.out.println(line);
  }

  static void delimited(String name, Message message) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    message.writeDelimitedTo(out);
    print(name, out.toByteArray());
  }

  static void records(String name, Record... records) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    BinaryOutputArchive archive = BinaryOutputArchive.getArchive(out);
    for (Record record : records) record.serialize(archive, "record");
    print(name, out.toByteArray());
  }

  static RegionSpecifier meta() {
    return RegionSpecifier.newBuilder().setType(RegionSpecifier.RegionSpecifierType.REGION_NAME)
      .setValue(ByteString.copyFrom(RegionInfoBuilder.FIRST_META_REGIONINFO.getRegionName())).build();
  }

  static void identifier() {
    AuthenticationTokenIdentifier identifier =
      new AuthenticationTokenIdentifier("alice@EXAMPLE.COM", 7, 1700000000000L, 1700604800000L);
    print("hbase-identifier", identifier.getBytes());
  }

  static void rpc() throws IOException {
    delimited("hbase-connection", ConnectionHeader.newBuilder().setServiceName("ClientService").build());
    delimited("hbase-connection-proxy", ConnectionHeader.newBuilder()
      .setUserInfo(UserInformation.newBuilder().setEffectiveUser("bob")).setServiceName("ClientMetaService").build());
    delimited("hbase-request", RequestHeader.newBuilder().setCallId(3).setMethodName("ExecService")
      .setRequestParam(true).build());
    delimited("hbase-token-request", CoprocessorServiceRequest.newBuilder().setRegion(meta())
      .setCall(CoprocessorServiceCall.newBuilder().setRow(ByteString.copyFrom(HConstants.EMPTY_BYTE_ARRAY))
        .setServiceName("AuthenticationService").setMethodName("GetAuthenticationToken")
        .setRequest(ByteString.EMPTY)).build());
    delimited("hbase-response", ResponseHeader.newBuilder().setCallId(3).build());
    delimited("hbase-response-error", ResponseHeader.newBuilder().setCallId(3)
      .setException(ExceptionResponse.newBuilder()
        .setExceptionClassName("org.apache.hadoop.hbase.NotServingRegionException")
        .setStackTrace("org.apache.hadoop.hbase.NotServingRegionException: hbase:meta,,1 is not online\n\tat X.y(X.java:1)")
        .setDoNotRetry(false)).build());
    // Of this service HBase has the classes of another Protocol Buffers.
    AuthenticationProtos.GetAuthenticationTokenResponse answer = AuthenticationProtos.GetAuthenticationTokenResponse.newBuilder()
      .setToken(AuthenticationProtos.Token.newBuilder()
        .setIdentifier(com.google.protobuf.ByteString.copyFrom(new byte[] {9}))
        .setPassword(com.google.protobuf.ByteString.copyFrom(new byte[] {1, 2, 3, 4}))
        .setService(com.google.protobuf.ByteString.copyFromUtf8("cluster"))).build();
    delimited("hbase-token-response", CoprocessorServiceResponse.newBuilder().setRegion(meta())
      .setValue(NameBytesPair.newBuilder().setName(answer.getClass().getName()).setValue(ByteString.copyFrom(answer.toByteArray()))).build());
    RegionLocation location = RegionLocation.newBuilder()
      .setRegionInfo(ProtobufUtil.toRegionInfo(RegionInfoBuilder.FIRST_META_REGIONINFO))
      .setServerName(ServerName.newBuilder().setHostName("rs1.example.com").setPort(16020).setStartCode(1700000000000L))
      .setSeqNum(0).build();
    delimited("hbase-meta-request", GetMetaRegionLocationsRequest.getDefaultInstance());
    delimited("hbase-meta-response", GetMetaRegionLocationsResponse.newBuilder().addMetaLocations(location).build());
  }

  static void zookeeper() throws IOException {
    records("zk-connect", new ConnectRequest(0, 0, 10000, 0, new byte[16]));
    records("zk-connected", new ConnectResponse(0, 10000, 72057594037927936L, new byte[16]));
    records("zk-get", new org.apache.zookeeper.proto.RequestHeader(1, 4), new GetDataRequest("/hbase/meta-region-server", false));
    MetaRegionServer meta = MetaRegionServer.newBuilder()
      .setServer(ServerName.newBuilder().setHostName("rs1.example.com").setPort(16020).setStartCode(1700000000000L))
      .setRpcVersion(0).setState(RegionState.State.OPEN).build();
    byte[] data = ZKMetadata.appendMetaData("regionserver:16020".getBytes(), ProtobufUtil.prependPBMagic(meta.toByteArray()));
    // Four random bytes of the metadata do not matter.
    print("zk-meta", data);
    records("zk-data", new ReplyHeader(1, 33, 0), new GetDataResponse(data, new Stat()));
    records("zk-no-node", new ReplyHeader(1, 33, -101));
    records("zk-no-auth", new ReplyHeader(1, 33, -102));
  }

  public static void main(String[] arguments) throws Exception {
    identifier();
    rpc();
    zookeeper();
  }
}
