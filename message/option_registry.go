package message

import "strconv"

// A ValueFormat says how the value of an option is read (RFC 7252 §3.2).
type ValueFormat uint8

// The value formats of RFC 7252 §3.2.
const (
	OpaqueValue ValueFormat = iota // bytes
	EmptyValue                     // nothing
	UintValue                      // an unsigned integer, most significant byte first
	StringValue                    // UTF-8 text
)

// String returns the RFC's word for the format.
func (f ValueFormat) String() string {
	switch f {
	case EmptyValue:
		return "empty"
	case UintValue:
		return "uint"
	case StringValue:
		return "string"
	case OpaqueValue:
	}
	return "opaque"
}

// An OptionInfo is what is known of an option (RFC 7252 §5.4, §5.10). Whether it is
// critical, unsafe to forward or part of the cache key follows from the number.
type OptionInfo struct {
	Number     OptionNumber
	Name       string // "" where the number is not assigned
	Format     ValueFormat
	MinLength  int  // of the value, in bytes
	MaxLength  int  // of the value, in bytes
	Repeatable bool // may occur more than once (§5.4.5)
}

// optionRegistry holds IANA's "CoAP Option Numbers", ascending. Of the vendors' options
// beyond Request-Tag the registry has no more than a name, so their values are not judged.
var optionRegistry = []OptionInfo{
	{IfMatch, "If-Match", OpaqueValue, 0, 8, true},
	{URIHost, "Uri-Host", StringValue, 1, 255, false},
	{ETag, "ETag", OpaqueValue, 1, 8, true},
	{IfNoneMatch, "If-None-Match", EmptyValue, 0, 0, false},
	{Observe, "Observe", UintValue, 0, 3, false},
	{URIPort, "Uri-Port", UintValue, 0, 2, false},
	{LocationPath, "Location-Path", StringValue, 0, 255, true},
	{OSCORE, "OSCORE", OpaqueValue, 0, 255, false},
	{URIPath, "Uri-Path", StringValue, 0, 255, true},
	{ContentFormat, "Content-Format", UintValue, 0, 2, false},
	{MaxAge, "Max-Age", UintValue, 0, 4, false},
	{URIQuery, "Uri-Query", StringValue, 0, 255, true},
	{HopLimit, "Hop-Limit", UintValue, 1, 1, false},
	{Accept, "Accept", UintValue, 0, 2, false},
	{QBlock1, "Q-Block1", UintValue, 0, 3, false},
	{LocationQuery, "Location-Query", StringValue, 0, 255, true},
	{EDHOC, "EDHOC", EmptyValue, 0, 0, false},
	{Block2, "Block2", UintValue, 0, 3, false},
	{Block1, "Block1", UintValue, 0, 3, false},
	{Size2, "Size2", UintValue, 0, 4, false},
	{QBlock2, "Q-Block2", UintValue, 0, 3, true},
	{ProxyURI, "Proxy-Uri", StringValue, 1, 1034, false},
	{ProxyScheme, "Proxy-Scheme", StringValue, 1, 255, false},
	{Size1, "Size1", UintValue, 0, 4, false},
	{ProxyCRI, "Proxy-Cri", OpaqueValue, 1, 1023, false},
	{ProxySchemeNumber, "Proxy-Scheme-Number", UintValue, 0, 3, false},
	{Echo, "Echo", OpaqueValue, 1, 40, false},
	{NoResponse, "No-Response", UintValue, 0, 1, false},
	{RequestTag, "Request-Tag", OpaqueValue, 0, 8, true},
	{2049, "OCF-Accept-Content-Format-Version", OpaqueValue, 0, MaxOptionLength, true},
	{2053, "OCF-Content-Format-Version", OpaqueValue, 0, MaxOptionLength, true},
	{2055, "SCP82-Params", OpaqueValue, 0, MaxOptionLength, true},
	{2056, "X-Admin-Protocol", OpaqueValue, 0, MaxOptionLength, true},
}

// Info returns what IANA's registry says about n. For a number that is not assigned it
// reports false, with an opaque, repeatable option of any length.
func (n OptionNumber) Info() (info OptionInfo, assigned bool) {
	low, high := 0, len(optionRegistry)
	for low < high {
		if mid := (low + high) / 2; optionRegistry[mid].Number < n {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low < len(optionRegistry) && optionRegistry[low].Number == n {
		return optionRegistry[low], true
	}
	return OptionInfo{Number: n, MaxLength: MaxOptionLength, Repeatable: true}, false
}

// String returns the option's name, such as "Uri-Path", or its number where it is not
// assigned.
func (n OptionNumber) String() string {
	if info, ok := n.Info(); ok {
		return info.Name
	}
	return strconv.Itoa(int(n))
}

// A lengthRule is the legal length of a value: min to min+span bytes.
type lengthRule struct{ min, span uint32 }

func (r lengthRule) allows(length int) bool { return uint32(length)-r.min <= r.span }

// The registry in the form that Parse and the option check use for numbers below 64.
var lowLengths, lowRepeatable = compactRegistry()

func compactRegistry() (lengths [64]lengthRule, repeatable uint64) {
	for n := range OptionNumber(64) {
		info, _ := n.Info()
		lengths[n] = lengthRule{uint32(info.MinLength), uint32(info.MaxLength - info.MinLength)}
		if info.Repeatable {
			repeatable |= 1 << n
		}
	}
	return lengths, repeatable
}

// legalLength reports whether a value of that length stands within the bounds of n
// (RFC 7252 §5.4.3).
func legalLength(n OptionNumber, length int) bool {
	if n < 64 {
		return lowLengths[n].allows(length)
	}
	info, _ := n.Info()
	return length >= info.MinLength && length <= info.MaxLength
}
