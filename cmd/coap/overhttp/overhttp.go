// Package overhttp says what a CoAP exchange would be over HTTP/1.1, with the mapping of
// RFC 8075.
//
// The bytes are those that net/http writes. A client has to send Host, and a server with a
// clock Date (RFC 9110 §7.2, §6.6.1); neither names itself by User-Agent or Server, which
// would be usual.
package overhttp

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/motewire/coap/message"
)

// Target returns path and query of a request, percent-encoded.
func Target(v *message.View) string {
	var b strings.Builder
	for segment := range v.PathSegments() {
		b.WriteString("/" + url.PathEscape(string(segment)))
	}
	if b.Len() == 0 {
		b.WriteByte('/')
	}
	separator := "?"
	for q := range v.Queries() {
		b.WriteString(separator + string(q))
		separator = "&"
	}
	return b.String()
}

// Request returns the bytes of the HTTP request that says what v says.
func Request(v *message.View, host string) ([]byte, error) {
	r, err := http.NewRequest(v.Code().Name(), "http://"+host+Target(v), bytes.NewReader(v.Payload()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "") // else net/http's own
	if f, ok := v.ContentFormat(); ok {
		r.Header.Set("Content-Type", mediaType(f))
	}
	if f, ok := v.Accept(); ok {
		r.Header.Set("Accept", mediaType(f))
	}
	var b bytes.Buffer
	err = r.Write(&b)
	return b.Bytes(), err
}

// Response returns the bytes of the HTTP response that says what v says.
func Response(v *message.View, now time.Time) ([]byte, error) {
	r := &http.Response{
		StatusCode: status(v), ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Date": {now.UTC().Format(http.TimeFormat)}},
		ContentLength: int64(len(v.Payload())),
		Body:          io.NopCloser(bytes.NewReader(v.Payload())),
	}
	switch f, ok := v.ContentFormat(); {
	case ok:
		r.Header.Set("Content-Type", mediaType(f))
	case len(v.Payload()) > 0: // a diagnostic payload (RFC 7252 §5.5.2)
		r.Header.Set("Content-Type", mediaType(message.TextPlain))
	}
	if location, ok := v.Location(); ok {
		r.Header.Set("Location", location)
	}
	if tag, ok := v.ETag(); ok {
		r.Header.Set("ETag", fmt.Sprintf(`"%x"`, tag.Append(nil)))
	}
	if age, ok := v.MaxAge(); ok {
		r.Header.Set("Cache-Control", fmt.Sprintf("max-age=%d", int(age.Seconds())))
	}
	var b bytes.Buffer
	err := r.Write(&b)
	return b.Bytes(), err
}

// statuses holds where a response code has another status than its own number times 100,
// the usual one first (RFC 8075 §7; 5.08: RFC 8768 §6).
var statuses = map[message.Code][]int{
	message.Deleted:                 {http.StatusNoContent, http.StatusOK},
	message.Valid:                   {http.StatusNotModified, http.StatusOK},
	message.Changed:                 {http.StatusNoContent, http.StatusOK},
	message.Content:                 {http.StatusOK},
	message.Continue:                nil,
	message.Unauthorized:            {http.StatusForbidden},
	message.BadOption:               {http.StatusBadRequest, http.StatusInternalServerError},
	message.MethodNotAllowed:        {http.StatusMethodNotAllowed, http.StatusBadRequest},
	message.RequestEntityIncomplete: nil,
	message.ProxyingNotSupported:    {http.StatusBadGateway},
	message.HopLimitReached:         {http.StatusLoopDetected},
}

// Statuses returns the status codes that a response code becomes, the usual one first:
// none for those that a proxy deals with itself, and for what is no response code.
func Statuses(c message.Code) []int {
	if list, ok := statuses[c]; ok {
		return list
	}
	if !c.IsResponse() {
		return nil
	}
	return []int{int(c.Class())*100 + int(c.Detail())}
}

// status returns the status code for a response.
func status(v *message.View) int {
	list := Statuses(v.Code())
	switch {
	case len(list) == 0:
		return http.StatusInternalServerError
	case list[0] == http.StatusNoContent && len(v.Payload()) > 0:
		return http.StatusOK
	}
	return list[0]
}

func mediaType(f message.Format) string {
	info, registered := f.Info()
	if !registered {
		return "application/octet-stream"
	}
	return info.MediaType
}
