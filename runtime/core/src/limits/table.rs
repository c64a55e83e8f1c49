//! The table of limits: name, field, key, field of the link's message, type, default and bounds of each, once.
//!
//! [`Limits`](crate::Limits) and [`Limit`](crate::Limit) are made of it here, and the fields of the link's message in
//! `deputy-link`. `docs/configuration.md` shows the defaults, and a test of `deputy-config` compares them.
//!
//! Bounds: nothing is zero, and nothing is so large that one component could exhaust a usual machine, or that the engine
//! has no room for it.

/// Calls a macro with a row for each limit, in the order of the keys:
/// `documentation Variant field "key" wire_field: Type = default, bounds;`, numbers as in
/// [`LimitValue::number`](crate::LimitValue::number).
#[macro_export]
macro_rules! limit_table {
    ($callback:ident) => {
        $callback! {
            "Bytes of one argument that the component passes to the host."
            Argument argument "argument" argument_bytes: ByteSize = 4 * MIB, 1..=64 * MIB;
            "Time between two pieces of a response's body."
            BetweenBytes between_bytes "between-bytes" between_bytes_ms: Span = 10 * SECOND, 1..=HOUR;
            "Time to connect, name resolution included."
            Connect connect "connect" connect_ms: Span = 5 * SECOND, 1..=HOUR;
            "Processor time that the component uses, and the host on its behalf."
            Cpu cpu "cpu" cpu_ms: Span = 10 * SECOND, 1..=HOUR;
            "Time of one request, from its start to the end of the response."
            Exchange exchange "exchange" exchange_ms: Span = 30 * SECOND, 1..=HOUR;
            "Time from the request's end to the response's head."
            FirstByte first_byte "first-byte" first_byte_ms: Span = 15 * SECOND, 1..=HOUR;
            "Handles that are open at once."
            Handles handles "handles" handles: u32 = 256, 1..=65_536;
            "Bytes of a request's headers, and of a response's."
            Headers headers "headers" headers_bytes: ByteSize = 32 * KIB, 1..=MIB;
            "Core instances inside the component, and as many memories and tables; at most eight of each."
            Instances instances "instances" instances: u32 = 64, 1..=64;
            "Bytes of messages that Kerberos contexts protect and open, over all contexts."
            KerberosBytes kerberos_bytes "kerberos-bytes" kerberos_bytes: ByteSize = 16 * MIB, 1..=1024 * MIB;
            "Kerberos contexts that the component opens, denied ones as well."
            KerberosContexts kerberos_contexts "kerberos-contexts" kerberos_contexts: u32 = 16, 1..=1_000;
            "Bytes of the component's log."
            LogBytes log_bytes "log-bytes" log_bytes: ByteSize = 64 * KIB, 1..=16 * MIB;
            "Lines of the component's log."
            LogLines log_lines "log-lines" log_lines: u32 = 200, 1..=100_000;
            "Linear memory of all core instances inside the component."
            Memory memory "memory" memory_bytes: ByteSize = 64 * MIB, 64 * KIB..=1024 * MIB;
            "Bytes of all files together that a receiver writes in one call."
            OutputBytes output_bytes "output-bytes" output_bytes: ByteSize = 4 * MIB, 1..=64 * MIB;
            "Files that a receiver writes in one call."
            OutputFiles output_files "output-files" output_files: u32 = 64, 1..=10_000;
            "Bytes of the payload that a provider returns. The maximum is what a store keeps as one value."
            Payload payload "payload" payload_bytes: ByteSize = MIB, 1..=2 * MIB;
            "Bytes received, over all requests and connections."
            Received received "received" received_bytes: ByteSize = 16 * MIB, 1..=1024 * MIB;
            "HTTP requests, TCP connections and name look-ups, denied ones as well."
            Requests requests "requests" requests: u32 = 16, 1..=10_000;
            "Bytes of one response's body."
            Response response "response" response_bytes: ByteSize = 4 * MIB, 1..=256 * MIB;
            "Operations on secrets."
            SecretOperations secret_operations "secret-operations" secret_operations: u32 = 64, 1..=100_000;
            "Bytes sent, over all requests and connections."
            Sent sent "sent" sent_bytes: ByteSize = 4 * MIB, 1..=1024 * MIB;
            "Bytes of the state that an instance keeps."
            State state "state" state_bytes: ByteSize = 64 * KIB, 1..=MIB;
            "Loads and saves of state."
            StateOperations state_operations "state-operations" state_operations: u32 = 16, 1..=100;
            "Elements of each table."
            TableElements table_elements "table-elements" table_elements: u32 = 100_000, 1..=100_000;
            "Time for the TLS handshake."
            Tls tls "tls" tls_ms: Span = 5 * SECOND, 1..=HOUR;
            "Bytes of a request's URL."
            Url url "url" url_bytes: ByteSize = 8 * KIB, 1..=64 * KIB;
            "Time from the start of the call to its end, whatever the component does."
            Wall wall "wall" wall_ms: Span = 60 * SECOND, 1..=HOUR;
        }
    };
}
