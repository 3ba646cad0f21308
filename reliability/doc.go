// Package reliability is the message layer of CoAP with the matching of responses to
// requests (RFC 7252 §4, §5.2, §5.3): it retransmits, acknowledges, rejects and
// deduplicates messages, assigns message IDs and tokens, and holds back what a peer is
// not yet to get.
package reliability
