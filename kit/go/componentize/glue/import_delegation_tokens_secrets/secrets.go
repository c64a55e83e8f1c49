// Package import_delegation_tokens_secrets gives the kit the secrets of the generated code.
package import_delegation_tokens_secrets

import (
	"deputy/kit"
	"wit_component/delegation_tokens_secrets"

	"go.bytecodealliance.org/pkg/wit/types"
)

func init() { kit.Secrets = open }

type secret struct {
	name string
	key  *delegation_tokens_secrets.Secret
}

func open(name string) (kit.Secret, error) {
	key, err := value(name, delegation_tokens_secrets.Open(name))
	if err != nil {
		return nil, err
	}
	return secret{name, key}, nil
}

func (secret secret) HmacSHA256(data []byte) ([]byte, error) {
	return value(secret.name, secret.key.HmacSha256(data))
}

func (secret secret) JWT(algorithm, header, claims string) (string, error) {
	return value(secret.name, secret.key.Jwt(algorithm, header, claims))
}

func (secret secret) Sign(algorithm string, data []byte) ([]byte, error) {
	return value(secret.name, secret.key.Sign(algorithm, data))
}

func (secret secret) SigV4(stringToSign string) (keyID, signature string, err error) {
	signed, err := value(secret.name, secret.key.Sigv4(stringToSign))
	if err == nil && signed.AccessKeyId.Tag() == wit_types.OptionSome {
		keyID = signed.AccessKeyId.Some()
	}
	return keyID, signed.Signature, err
}

func value[T any](name string, result wit_types.Result[T, delegation_tokens_secrets.SecretError]) (T, error) {
	if !result.IsErr() {
		return result.Ok(), nil
	}
	var none T
	failure := &kit.Failure{Next: kit.Misconfigured}
	switch reason := result.Err(); reason.Tag() {
	case delegation_tokens_secrets.SecretError_Denied:
		failure.Message = reason.Denied()
	case delegation_tokens_secrets.SecretError_Invalid:
		failure.Message = reason.Invalid()
	default:
		failure.Next, failure.Message = kit.Unavailable, reason.Unavailable()
	}
	failure.Message = "secret `" + name + "`: " + failure.Message
	return none, failure
}
