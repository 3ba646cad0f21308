package message

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnknownCode is what [ParseCode] returns for a text that is no code.
var ErrUnknownCode = errors.New("message: unknown code")

// codeNames holds the description of each code that IANA has assigned ("CoAP Method
// Codes", "CoAP Response Codes", "CoAP Signaling Codes"; RFC 7252 §12.1).
var codeNames = [256]string{
	Empty: "Empty",

	GET:    "GET",
	POST:   "POST",
	PUT:    "PUT",
	DELETE: "DELETE",
	FETCH:  "FETCH",
	PATCH:  "PATCH",
	IPATCH: "iPATCH",

	Created:  "Created",
	Deleted:  "Deleted",
	Valid:    "Valid",
	Changed:  "Changed",
	Content:  "Content",
	Continue: "Continue",

	BadRequest:               "Bad Request",
	Unauthorized:             "Unauthorized",
	BadOption:                "Bad Option",
	Forbidden:                "Forbidden",
	NotFound:                 "Not Found",
	MethodNotAllowed:         "Method Not Allowed",
	NotAcceptable:            "Not Acceptable",
	RequestEntityIncomplete:  "Request Entity Incomplete",
	Conflict:                 "Conflict",
	PreconditionFailed:       "Precondition Failed",
	RequestEntityTooLarge:    "Request Entity Too Large",
	UnsupportedContentFormat: "Unsupported Content-Format",
	UnprocessableEntity:      "Unprocessable Entity",
	TooManyRequests:          "Too Many Requests",

	InternalServerError:  "Internal Server Error",
	NotImplemented:       "Not Implemented",
	BadGateway:           "Bad Gateway",
	ServiceUnavailable:   "Service Unavailable",
	GatewayTimeout:       "Gateway Timeout",
	ProxyingNotSupported: "Proxying Not Supported",
	HopLimitReached:      "Hop Limit Reached",

	CSM:     "CSM",
	Ping:    "Ping",
	Pong:    "Pong",
	Release: "Release",
	Abort:   "Abort",
}

// Name returns IANA's description of c, such as "GET" or "Content", and "" for a code
// that is not assigned (RFC 7252 §12.1).
func (c Code) Name() string { return codeNames[c] }

// ParseCode reads "c.dd", "cdd" or a name as [Code.Name] gives it, in any case. A code
// need not be assigned. The error wraps [ErrUnknownCode].
func ParseCode(s string) (Code, error) {
	digits := s
	if len(s) == 4 && s[1] == '.' {
		digits = s[:1] + s[2:]
	}
	if c, ok := codeOfDigits(digits); ok {
		return c, nil
	}
	for c, name := range codeNames {
		if name != "" && strings.EqualFold(name, s) {
			return Code(c), nil
		}
	}
	return 0, fmt.Errorf("%w %.40q", ErrUnknownCode, s)
}

// codeOfDigits reads one digit of class and two of detail.
func codeOfDigits(s string) (Code, bool) {
	if len(s) != 3 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	class, detail := s[0]-'0', (s[1]-'0')*10+s[2]-'0'
	if class > 7 || detail > 31 {
		return 0, false
	}
	return MakeCode(class, detail), true
}
