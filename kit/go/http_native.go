//go:build !wasip1

package kit

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// exchange makes one request outside of a component, for an author's editor, `go vet` and `go test`.
func exchange(method string, target *url.URL, _ string, header map[string]string, body []byte) (*Answer, error) {
	request, err := http.NewRequest(method, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return nil, errors.New("no answer: " + err.Error())
	}
	defer response.Body.Close()
	answer := &Answer{Status: response.StatusCode, Header: map[string]string{}}
	for name := range response.Header {
		answer.Header[strings.ToLower(name)] = response.Header.Get(name)
	}
	answer.Body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, errBrokenOff
	case len(answer.Body) > maxAnswer:
		return nil, errTooLarge
	}
	return answer, nil
}
