package message

// Code is a request method or a response code: three bits of class, five of detail,
// written c.dd (RFC 7252 §3, §12.1).
type Code uint8

// MakeCode joins a class (0 to 7) and a detail (0 to 31).
func MakeCode(class, detail uint8) Code { return Code(class<<5 | detail&31) }

// Empty is the code of an Empty message (RFC 7252 §4.1).
const Empty Code = 0

// Methods (RFC 7252 §5.8, RFC 8132).
const (
	GET    Code = 1
	POST   Code = 2
	PUT    Code = 3
	DELETE Code = 4
	FETCH  Code = 5
	PATCH  Code = 6
	IPATCH Code = 7
)

// Success (RFC 7252 §5.9.1; Continue: RFC 7959 §2.9.1).
const (
	Created  Code = 2<<5 | 1
	Deleted  Code = 2<<5 | 2
	Valid    Code = 2<<5 | 3
	Changed  Code = 2<<5 | 4
	Content  Code = 2<<5 | 5
	Continue Code = 2<<5 | 31
)

// Client errors (RFC 7252 §5.9.2; 4.08: RFC 7959 §2.9.2; 4.09, 4.22: RFC 8132 §3.4;
// 4.29: RFC 8516).
const (
	BadRequest               Code = 4 << 5
	Unauthorized             Code = 4<<5 | 1
	BadOption                Code = 4<<5 | 2
	Forbidden                Code = 4<<5 | 3
	NotFound                 Code = 4<<5 | 4
	MethodNotAllowed         Code = 4<<5 | 5
	NotAcceptable            Code = 4<<5 | 6
	RequestEntityIncomplete  Code = 4<<5 | 8
	Conflict                 Code = 4<<5 | 9
	PreconditionFailed       Code = 4<<5 | 12
	RequestEntityTooLarge    Code = 4<<5 | 13
	UnsupportedContentFormat Code = 4<<5 | 15
	UnprocessableEntity      Code = 4<<5 | 22
	TooManyRequests          Code = 4<<5 | 29
)

// Server errors (RFC 7252 §5.9.3; 5.08: RFC 8768 §4).
const (
	InternalServerError  Code = 5 << 5
	NotImplemented       Code = 5<<5 | 1
	BadGateway           Code = 5<<5 | 2
	ServiceUnavailable   Code = 5<<5 | 3
	GatewayTimeout       Code = 5<<5 | 4
	ProxyingNotSupported Code = 5<<5 | 5
	HopLimitReached      Code = 5<<5 | 8
)

// Signalling codes of reliable transports (RFC 8323 §5). A datagram with one is
// rejected.
const (
	CSM     Code = 7<<5 | 1
	Ping    Code = 7<<5 | 2
	Pong    Code = 7<<5 | 3
	Release Code = 7<<5 | 4
	Abort   Code = 7<<5 | 5
)

// Class returns the three upper bits: 0 request, 2 success, 4 client error, 5 server
// error, 7 signalling.
func (c Code) Class() uint8 { return uint8(c >> 5) }

// Detail returns the five lower bits.
func (c Code) Detail() uint8 { return uint8(c & 31) }

// IsRequest reports whether c is a method, assigned or not: 0.01 to 0.31.
func (c Code) IsRequest() bool { return c != Empty && c.Class() == 0 }

// IsResponse reports whether c is in a class of responses: 2.00 to 5.31.
func (c Code) IsResponse() bool { return c.Class() >= 2 && c.Class() <= 5 }

// IsSuccess reports whether c is a 2.xx.
func (c Code) IsSuccess() bool { return c.Class() == 2 }

// String returns c.dd, such as "2.05".
func (c Code) String() string {
	d := c.Detail()
	return string([]byte{'0' + c.Class(), '.', '0' + d/10, '0' + d%10})
}
