package kit

import (
	"errors"
	"fmt"
	"net/url"
)

const maxAnswer = 1 << 20

var (
	errBrokenOff = errors.New("the answer broke off")
	errTooLarge  = fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
)

// Answer is a whole answer to a request.
type Answer struct {
	Status int
	Header map[string]string // by lower-case name
	Body   []byte
}

// PostForm sends one form. Redirects are not followed and nothing is retried. The host adds what the operator's http
// rule says, such as a secret.
func PostForm(address string, form url.Values) (*Answer, error) {
	header := map[string]string{
		"content-type": "application/x-www-form-urlencoded", "accept": "application/json", "accept-encoding": "identity",
	}
	return Send("POST", address, header, []byte(form.Encode()))
}

// Send makes one request and reads the whole answer. Without one it returns a *Failure.
func Send(method, address string, header map[string]string, body []byte) (*Answer, error) {
	target, err := url.Parse(address)
	if err != nil || target.Host == "" || target.User != nil || (target.Scheme != "http" && target.Scheme != "https") {
		return nil, &Failure{Next: Misconfigured, Message: "not a URL such as https://login.example/token"}
	}
	// Without the query, which may be confidential.
	shown := target.Scheme + "://" + target.Host + target.Path
	answer, err := exchange(method, target, shown, header, body)
	if failure := (*Failure)(nil); err == nil || errors.As(err, &failure) {
		return answer, err
	}
	return nil, &Failure{Next: Unavailable, Message: shown + ": " + err.Error()}
}
