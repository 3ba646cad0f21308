package message

import (
	"errors"
	"testing"
)

func TestCodeNames(t *testing.T) {
	tests := []struct {
		code       Code
		text, name string
	}{
		{Empty, "0.00", "Empty"}, {GET, "0.01", "GET"}, {POST, "0.02", "POST"}, {PUT, "0.03", "PUT"},
		{DELETE, "0.04", "DELETE"}, {FETCH, "0.05", "FETCH"}, {PATCH, "0.06", "PATCH"}, {IPATCH, "0.07", "iPATCH"},
		{Created, "2.01", "Created"}, {Deleted, "2.02", "Deleted"}, {Valid, "2.03", "Valid"},
		{Changed, "2.04", "Changed"}, {Content, "2.05", "Content"}, {Continue, "2.31", "Continue"},
		{BadRequest, "4.00", "Bad Request"}, {Unauthorized, "4.01", "Unauthorized"}, {BadOption, "4.02", "Bad Option"},
		{Forbidden, "4.03", "Forbidden"}, {NotFound, "4.04", "Not Found"}, {MethodNotAllowed, "4.05", "Method Not Allowed"},
		{NotAcceptable, "4.06", "Not Acceptable"}, {RequestEntityIncomplete, "4.08", "Request Entity Incomplete"},
		{Conflict, "4.09", "Conflict"}, {PreconditionFailed, "4.12", "Precondition Failed"},
		{RequestEntityTooLarge, "4.13", "Request Entity Too Large"},
		{UnsupportedContentFormat, "4.15", "Unsupported Content-Format"},
		{UnprocessableEntity, "4.22", "Unprocessable Entity"}, {TooManyRequests, "4.29", "Too Many Requests"},
		{InternalServerError, "5.00", "Internal Server Error"}, {NotImplemented, "5.01", "Not Implemented"},
		{BadGateway, "5.02", "Bad Gateway"}, {ServiceUnavailable, "5.03", "Service Unavailable"},
		{GatewayTimeout, "5.04", "Gateway Timeout"}, {ProxyingNotSupported, "5.05", "Proxying Not Supported"},
		{HopLimitReached, "5.08", "Hop Limit Reached"},
		{CSM, "7.01", "CSM"}, {Ping, "7.02", "Ping"}, {Pong, "7.03", "Pong"}, {Release, "7.04", "Release"}, {Abort, "7.05", "Abort"},
	}
	named := 0
	for c := range 256 {
		if Code(c).Name() != "" {
			named++
		}
	}
	if named != len(tests) {
		t.Errorf("%d codes have a name, %d are tested", named, len(tests))
	}
	for _, tt := range tests {
		if tt.code.String() != tt.text || tt.code.Name() != tt.name {
			t.Errorf("%d: %s %q, want %s %q", tt.code, tt.code, tt.code.Name(), tt.text, tt.name)
		}
		for _, s := range []string{tt.text, tt.text[:1] + tt.text[2:], tt.name} {
			if got, err := ParseCode(s); err != nil || got != tt.code {
				t.Errorf("ParseCode(%q) = %v, %v", s, got, err)
			}
		}
	}
}

func TestParseCode(t *testing.T) {
	for s, want := range map[string]Code{"get": GET, "IPatch": IPATCH, "not found": NotFound, "3.17": 3<<5 | 17, "731": 255} {
		if got, err := ParseCode(s); err != nil || got != want {
			t.Errorf("ParseCode(%q) = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "2", "2.5", "2.32", "8.00", "2,05", "2.0x", "+05", "2.055", "20.5", "nonsense"} {
		if got, err := ParseCode(s); !errors.Is(err, ErrUnknownCode) {
			t.Errorf("ParseCode(%q) = %v, %v", s, got, err)
		}
	}
}

func TestCodeClasses(t *testing.T) {
	for c := range 256 {
		code := Code(c)
		class := c >> 5
		if MakeCode(code.Class(), code.Detail()) != code || int(code.Class()) != class {
			t.Errorf("%v is not made of its parts", code)
		}
		if code.IsRequest() != (c > 0 && c < 32) || code.IsResponse() != (c >= 64 && c < 192) || code.IsSuccess() != (class == 2) {
			t.Errorf("%v: request %t, response %t, success %t", code, code.IsRequest(), code.IsResponse(), code.IsSuccess())
		}
	}
}
