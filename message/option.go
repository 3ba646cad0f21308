package message

// OptionNumber names an option (RFC 7252 §5.4, §12.2). Its lower bits say how a
// recipient that does not know the option treats it (§5.4.6).
type OptionNumber uint16

// Options of RFC 7252 and its companions (IANA "CoAP Option Numbers").
const (
	IfMatch           OptionNumber = 1
	URIHost           OptionNumber = 3
	ETag              OptionNumber = 4
	IfNoneMatch       OptionNumber = 5
	Observe           OptionNumber = 6 // RFC 7641
	URIPort           OptionNumber = 7
	LocationPath      OptionNumber = 8
	OSCORE            OptionNumber = 9 // RFC 8613
	URIPath           OptionNumber = 11
	ContentFormat     OptionNumber = 12
	MaxAge            OptionNumber = 14
	URIQuery          OptionNumber = 15
	HopLimit          OptionNumber = 16 // RFC 8768
	Accept            OptionNumber = 17
	QBlock1           OptionNumber = 19 // RFC 9177
	LocationQuery     OptionNumber = 20
	EDHOC             OptionNumber = 21 // RFC 9668
	Block2            OptionNumber = 23 // RFC 7959
	Block1            OptionNumber = 27 // RFC 7959
	Size2             OptionNumber = 28 // RFC 7959
	QBlock2           OptionNumber = 31 // RFC 9177
	ProxyURI          OptionNumber = 35
	ProxyScheme       OptionNumber = 39
	Size1             OptionNumber = 60
	ProxyCRI          OptionNumber = 235 // draft-ietf-core-href
	ProxySchemeNumber OptionNumber = 239 // draft-ietf-core-href
	Echo              OptionNumber = 252 // RFC 9175
	NoResponse        OptionNumber = 258 // RFC 7967
	RequestTag        OptionNumber = 292 // RFC 9175
)

// Critical reports whether a recipient that does not know the option must not process
// the message (RFC 7252 §5.4.1).
func (n OptionNumber) Critical() bool { return n&1 != 0 }

// Unsafe reports whether a proxy that does not know the option must not forward the
// message (RFC 7252 §5.4.2).
func (n OptionNumber) Unsafe() bool { return n&2 != 0 }

// NoCacheKey reports whether the option is left out of the cache key; it means nothing
// for Unsafe options (RFC 7252 §5.4.2, §5.4.6).
func (n OptionNumber) NoCacheKey() bool { return n&0x1e == 0x1c }
