package message

// MaxExtendedTokenLength is the longest token that a message can carry in bytes (RFC 8974
// §2.1).
const MaxExtendedTokenLength = 65535 + 269

// ParseExtended is [View.Parse] for who admits extended tokens (RFC 8974 §2.1): of 9 bytes
// and more, up to [MaxExtendedTokenLength]. The token is [View.TokenBytes] then.
func (v *View) ParseExtended(datagram []byte) error {
	err := v.Parse(datagram)
	if v.err.Err != ErrTokenLength || datagram[0]&15 == 15 {
		return err
	}
	length, start, ok := extended(datagram, headerLength, uint(datagram[0]&15))
	if !ok || length > uint(len(datagram)-start) {
		return v.fail(len(datagram), true, ErrTruncated)
	}
	v.options, v.err.Err = start+int(length), nil
	return v.parseOptions()
}

// Extended reports whether the token is an extended one (RFC 8974 §2.1). [View.Token] is
// empty then.
func (v *View) Extended() bool { return v.datagram[0]&15 > MaxTokenLength }

// TokenBytes returns the token, extended or not. It aliases the datagram.
func (v *View) TokenBytes() []byte {
	_, start, _ := extended(v.datagram, headerLength, uint(v.datagram[0]&15))
	return v.datagram[start:v.options:v.options]
}

// AppendExtendedHeader is [AppendHeader] with a token of any length up to
// [MaxExtendedTokenLength] (RFC 8974 §2.1); beyond, [Encoder.Finish] returns
// [ErrTokenLength]. One of up to 8 bytes is written as AppendHeader does.
func AppendExtendedHeader(dst []byte, t Type, c Code, id ID, token []byte) Encoder {
	if len(token) <= MaxTokenLength {
		short, _ := MakeToken(token)
		return AppendHeader(dst, t, c, id, short)
	}
	e := AppendHeader(dst, t, c, id, Token{})
	switch {
	case c == Empty:
		e.refuse(refusedEmpty)
	case len(token) > MaxExtendedTokenLength:
		e.refuse(refusedToken)
	default:
		e.buf[len(dst)] |= nibble(len(token))
		e.buf = append(appendExtended(e.buf, len(token)), token...)
	}
	return e
}
