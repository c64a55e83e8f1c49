package kit

// Secret is a secret of the operator, which the host uses and the component never reads. Each method needs a grant of its own.
type Secret interface {
	// HmacSHA256 is the bare HMAC-SHA256 of data.
	HmacSHA256(data []byte) ([]byte, error)
	// JWT signs a JSON Web Token. Header and claims are JSON objects; the host adds the algorithm, such as ES256.
	JWT(algorithm, header, claims string) (string, error)
	// Sign is the bare signature of data.
	Sign(algorithm string, data []byte) ([]byte, error)
	// SigV4 signs an AWS Signature Version 4 string to sign. The key's id is empty if the operator's secret has none.
	SigV4(stringToSign string) (keyID, signature string, err error)
}

// Secrets opens secrets. `componentize` sets it if the component's world includes `uses-secrets`.
var Secrets func(name string) (Secret, error)

// OpenSecret opens a secret by the name that the operator gave it. An error is a *Failure that names the secret.
func OpenSecret(name string) (Secret, error) {
	if Secrets == nil {
		return nil, &Failure{Next: Misconfigured, Message: "the world of this component does not include uses-secrets"}
	}
	return Secrets(name)
}
