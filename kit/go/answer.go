package kit

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxNesting = 100
	maxWait    = 86_400 // seconds; the bound on Retry-After
)

var (
	misconfigured = []string{"invalid_grant", "invalid_request", "invalid_scope", "invalid_target", "unsupported_grant_type"}
	unavailable   = []string{"server_error", "temporarily_unavailable"}
)

// Fields are the members of a good answer: of a JSON object, in which numbers are json.Number, or of a form where the
// service says that it is one. An error, also under a good status, and an answer that cannot be read are a *Failure, as
// RFC 6749, section 5.2, has them. It never quotes an answer that may hold a token.
func (answer *Answer) Fields() (map[string]any, error) {
	fields, problem := answer.parse()
	isGood := answer.Status >= 200 && answer.Status < 300
	switch reported := fields["error"]; {
	case !isGood || (reported != nil && reported != "" && reported != false && reported != json.Number("0")):
		return nil, answer.refusal(fields, problem)
	case answer.Status == 202 && len(fields) == 0:
		return nil, &Failure{Next: Unavailable, Message: "202: the service accepted the request and has no answer yet"}
	case problem != "":
		// Asking again soon brings the same one.
		text := fmt.Sprintf("%d, and the answer %s; look at the URL", answer.Status, problem)
		return nil, &Failure{Next: Denied, Message: text}
	}
	return fields, nil
}

// parse returns the members, or what completes the sentence "the answer …".
func (answer *Answer) parse() (map[string]any, string) {
	body, problem := answer.decoded()
	if problem != "" {
		return nil, problem
	}
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	kind, _, _ := strings.Cut(answer.Header["content-type"], ";")
	switch {
	case !utf8.Valid(body):
		return nil, "is not UTF-8"
	case len(body) == 0:
		return nil, "is empty"
	case strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded"):
		return form(string(body))
	case bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) > maxNesting:
		// The parser calls itself: deep nesting overflows the stack, which is a trap.
		return nil, "is nested deeper than an answer is"
	}
	reader := json.NewDecoder(bytes.NewReader(body))
	reader.UseNumber()
	var value any
	if err := reader.Decode(&value); err != nil || reader.More() {
		if body[0] == '<' {
			return nil, "is HTML, not JSON"
		}
		return nil, "is not JSON"
	}
	fields, isObject := value.(map[string]any)
	if !isObject {
		return nil, "is JSON, but not an object"
	}
	return fields, ""
}

func form(body string) (map[string]any, string) {
	values, err := url.ParseQuery(body)
	if err != nil {
		return nil, "is not the form that it is said to be"
	}
	fields := map[string]any{}
	for name := range values {
		fields[name] = values.Get(name)
	}
	return fields, ""
}

// decoded is the body without its content coding. Some services compress it although the request accepts none.
func (answer *Answer) decoded() ([]byte, string) {
	switch coding := strings.ToLower(strings.TrimSpace(answer.Header["content-encoding"])); coding {
	case "", "identity":
		return answer.Body, ""
	case "gzip", "x-gzip":
	default:
		return nil, "is encoded as " + OneLine(coding, 40) + ", which was not asked for"
	}
	unpacker, err := gzip.NewReader(bytes.NewReader(answer.Body))
	if err != nil {
		return nil, "is not the gzip that it is said to be"
	}
	body, err := io.ReadAll(io.LimitReader(unpacker, maxAnswer+1))
	if err != nil || len(body) > maxAnswer {
		return nil, fmt.Sprintf("is no whole gzip, or larger than %d bytes when it is decompressed", maxAnswer)
	}
	return body, ""
}

// refusal is the failure for an error, independent of its status.
func (answer *Answer) refusal(fields map[string]any, problem string) *Failure {
	code, description := errorOf(fields)
	text := strconv.Itoa(answer.Status)
	for _, part := range []string{code, description} {
		if part != "" {
			text += ": " + OneLine(part, 300)
		}
	}
	if problem == "" {
		problem = "is no error that is understood"
	}
	if code == "" && description == "" {
		text += ", and the answer " + problem
	}
	if answer.Status >= 300 && answer.Status < 400 {
		text += "; a redirect is not followed: configure where it leads, if that is right"
	}
	wait, isStated := answer.retryAfter()
	next := nextOf(answer.Status, code, isStated)
	return &Failure{Next: next, Message: text, Code: OneLine(code, 100), RetryAfter: wait}
}

// nextOf is what the host shall do, by status and code.
func nextOf(status int, code string, hasDelay bool) Next {
	switch {
	case status == 429 || code == "slow_down" || (status == 503 && hasDelay):
		return Throttled
	case status == 408 || status == 425 || status >= 500 || slices.Contains(unavailable, code):
		return Unavailable
	case slices.Contains(misconfigured, code):
		return Misconfigured
	}
	return Denied
}

// errorOf is the code and its description: texts, or nested as `{"error": {"code": …, "message": …}}`.
func errorOf(fields map[string]any) (code, description string) {
	if nested, isNested := fields["error"].(map[string]any); isNested {
		if code = textOf(nested["code"]); code == "" {
			code = textOf(nested["status"])
		}
		return code, textOf(nested["message"])
	}
	return textOf(fields["error"]), textOf(fields["error_description"])
}

func textOf(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case json.Number:
		return value.String()
	}
	return ""
}

// retryAfter is `Retry-After`, at most a day: seconds, possibly with a fraction, or a date by the service's clock.
func (answer *Answer) retryAfter() (wait time.Duration, isStated bool) {
	stated := strings.TrimSpace(answer.Header["retry-after"])
	if stated != "" && strings.Trim(stated, "0123456789.") == "" {
		seconds, err := strconv.ParseFloat(stated, 64)
		return time.Duration(math.Ceil(min(seconds, maxWait)*1000)) * time.Millisecond, err == nil
	}
	until, found := httpDate(stated)
	if !found {
		return 0, false
	}
	sent, found := httpDate(strings.TrimSpace(answer.Header["date"]))
	if !found {
		sent = time.Now()
	}
	return min(max(until.Sub(sent), 0), maxWait*time.Second), true
}

// httpDate reads the three forms of RFC 9110, 5.6.7. The parser of net/http would bring all of it.
func httpDate(text string) (time.Time, bool) {
	for _, form := range []string{"Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC} {
		if at, err := time.Parse(form, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}
