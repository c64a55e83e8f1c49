package kit

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	handler "deputy/kit/imports/wasi_http_outgoing_handler"
	wasi "deputy/kit/imports/wasi_http_types"
	streams "deputy/kit/imports/wasi_io_streams"

	. "go.bytecodealliance.org/pkg/wit/types"
)

const maxWrite = 4096 // what wasi:io takes at once

// exchange makes one request of wasi:http, in a component. Without an answer the error is a *Failure, or says why.
func exchange(method string, target *url.URL, shown string, header map[string]string, body []byte) (*Answer, error) {
	pending, code := begin(method, target, header, body)
	if code == nil {
		var answer *Answer
		var err error
		if answer, code, err = receive(pending); code == nil {
			return answer, err
		}
	}
	switch code.Tag() {
	case wasi.ErrorCode_HttpRequestDenied, wasi.ErrorCode_DestinationIpProhibited:
		text := "no http rule of this instance allows " + method + " " + shown + "; the host's log says what would"
		return nil, &Failure{Next: Misconfigured, Message: text}
	case wasi.ErrorCode_ConfigurationError:
		text := shown + ": the host cannot make this request as its http rule says; its log says why"
		return nil, &Failure{Next: Misconfigured, Message: text}
	}
	return nil, errors.New("no answer: " + reason(code))
}

func begin(
	method string, target *url.URL, header map[string]string, body []byte,
) (*wasi.FutureIncomingResponse, *wasi.ErrorCode) {
	fields := wasi.MakeFields()
	for name, value := range header {
		fields.Append(name, []byte(value))
	}
	// Without the length the host sends chunks, which some servers do not support.
	fields.Append("content-length", []byte(strconv.Itoa(len(body))))
	scheme := wasi.MakeSchemeHttps()
	if target.Scheme == "http" {
		scheme = wasi.MakeSchemeHttp()
	}
	request := wasi.MakeOutgoingRequest(fields)
	request.SetMethod(methodOf(method))
	request.SetScheme(Some(scheme))
	request.SetAuthority(Some(target.Host))
	request.SetPathWithQuery(Some(target.RequestURI()))
	outgoing := request.Body().Ok()
	sent := handler.Handle(request, None[*wasi.RequestOptions]())
	if sent.IsErr() {
		code := sent.Err()
		return nil, &code
	}
	// Where sending fails, the answer says why.
	if write(outgoing, body) {
		wasi.OutgoingBodyFinish(outgoing, None[*wasi.Fields]())
	}
	return sent.Ok(), nil
}

func write(outgoing *wasi.OutgoingBody, body []byte) bool {
	stream := outgoing.Write().Ok()
	defer stream.Drop()
	for chunk := range slices.Chunk(body, maxWrite) {
		if stream.BlockingWriteAndFlush(chunk).IsErr() {
			return false
		}
	}
	return true
}

func receive(pending *wasi.FutureIncomingResponse) (*Answer, *wasi.ErrorCode, error) {
	ready := pending.Subscribe()
	ready.Block()
	ready.Drop()
	result := pending.Get().Some().Ok() // the outer result only says "taken twice"
	if result.IsErr() {
		code := result.Err()
		return nil, &code, nil
	}
	incoming := result.Ok()
	answer := &Answer{Status: int(incoming.Status()), Header: map[string]string{}}
	for _, entry := range incoming.Headers().Entries() {
		answer.Header[strings.ToLower(entry.F0)] = string(entry.F1)
	}
	stream := incoming.Consume().Ok().Stream().Ok()
	defer stream.Drop()
	for {
		chunk := stream.BlockingRead(64 << 10)
		if chunk.IsErr() {
			if failed := chunk.Err(); failed.Tag() != streams.StreamError_Closed {
				return nil, nil, errBrokenOff
			}
			return answer, nil, nil
		}
		if answer.Body = append(answer.Body, chunk.Ok()...); len(answer.Body) > maxAnswer {
			return nil, nil, errTooLarge
		}
	}
}

func methodOf(name string) wasi.Method {
	switch name {
	case "GET":
		return wasi.MakeMethodGet()
	case "POST":
		return wasi.MakeMethodPost()
	case "PUT":
		return wasi.MakeMethodPut()
	case "DELETE":
		return wasi.MakeMethodDelete()
	}
	return wasi.MakeMethodOther(name)
}

// reason is the code's name, for the ones that an operator can act on. Its fields may hold text of the host.
func reason(code *wasi.ErrorCode) string {
	switch code.Tag() {
	case wasi.ErrorCode_DnsError:
		return "the name has no address"
	case wasi.ErrorCode_ConnectionRefused:
		return "connection refused"
	case wasi.ErrorCode_ConnectionTimeout, wasi.ErrorCode_ConnectionReadTimeout:
		return "timeout"
	case wasi.ErrorCode_ConnectionTerminated:
		return "the connection broke off"
	case wasi.ErrorCode_TlsCertificateError:
		return "the certificate is not trusted"
	}
	return fmt.Sprintf("wasi:http error %d", code.Tag())
}
