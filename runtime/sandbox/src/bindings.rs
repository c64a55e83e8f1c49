//! The contract's bindings, generated from `wit/`. Nothing here is logged: bindings with tracing would print arguments.

#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package deputy:host;

        world provider {
            include delegation:tokens/token-provider@0.2.0;
            include delegation:tokens/uses-secrets@0.2.0;
            include delegation:tokens/reveals-secrets@0.2.0;
            include delegation:tokens/uses-logging@0.2.0;
            include delegation:tokens/writes-outputs@0.2.0;
            include delegation:tokens/keeps-state@0.2.0;
            include delegation:tokens/uses-kerberos@0.2.0;
            include delegation:tokens/uses-scram@0.2.0;
        }
    ",
    world: "deputy:host/provider",
    imports: {
        "delegation:tokens/secrets.open": async | trappable,
        "delegation:tokens/secrets.[method]secret.sigv4": async | trappable,
        "delegation:tokens/secrets.[method]secret.jwt": async | trappable,
        "delegation:tokens/secrets.[method]secret.hmac-sha256": async | trappable,
        "delegation:tokens/secrets.[method]secret.pbkdf2-hmac-sha256": async | trappable,
        "delegation:tokens/secrets.[method]secret.sign": async | trappable,
        "delegation:tokens/secret-values.reveal": async | trappable,
        "delegation:tokens/kerberos.[method]context.step": async | trappable,
        "delegation:tokens/kerberos.[method]context.wrap": async | trappable,
        "delegation:tokens/kerberos.[method]context.unwrap": async | trappable,
        "delegation:tokens/scram.[static]login.begin": async | trappable,
        "delegation:tokens/scram.[method]login.client-final": async | trappable,
        "delegation:tokens/state.load": async | trappable,
        "delegation:tokens/state.save": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    trappable_error_type: {
        "delegation:tokens/kerberos.kerberos-error" => crate::kerberos::KerberosUseError,
        "delegation:tokens/secrets.secret-error" => crate::secrets::error::SecretUseError,
    },
    with: {
        "delegation:tokens/kerberos.context": crate::kerberos::context::ContextHandle,
        "delegation:tokens/scram.login": crate::secrets::scram::login::LoginHandle,
        "delegation:tokens/secrets.secret": crate::secrets::handle::SecretHandle,
    },
});

/// The exports of receivers.
pub mod receives {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "delegation:tokens/token-receiver",
        imports: { default: trappable },
        exports: { default: async },
        with: {
            "delegation:tokens/outputs": super::delegation::tokens::outputs,
            "delegation:tokens/types": super::delegation::tokens::types,
        },
    });
}

/// The exports of providers that renew.
pub mod renews {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "delegation:tokens/renews-tokens",
        exports: { default: async },
        with: { "delegation:tokens/types": super::delegation::tokens::types },
    });
}

/// The exports of providers that revoke.
pub mod revokes {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "delegation:tokens/revokes-tokens",
        exports: { default: async },
        with: { "delegation:tokens/types": super::delegation::tokens::types },
    });
}

/// The exports of components that describe themselves.
pub mod describes {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "delegation:tokens/describes-itself",
        exports: { default: async },
        with: { "delegation:tokens/types": super::delegation::tokens::types },
    });
}
