package kit

// BearerToken is the kind of an access token, without a line break.
const BearerToken = "bearer-token/1"

// Bearer is the access token of a good answer, with its expiry (RFC 6749, section 5.1).
func (answer *Answer) Bearer() (*Tokens, error) {
	var granted struct {
		AccessToken string  `json:"access_token"`
		ExpiresIn   *Number `json:"expires_in"`
	}
	if err := answer.JSON(&granted); err != nil {
		return nil, err
	}
	if granted.AccessToken == "" {
		return nil, &Failure{Next: Denied, Message: "the answer has no access_token"}
	}
	return &Tokens{Kind: BearerToken, Payload: []byte(granted.AccessToken), Expiry: granted.ExpiresIn.Expiry()}, nil
}
