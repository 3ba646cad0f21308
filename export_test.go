package coap

import "iter"

// Dropping is Drop in its portions.
func (s *Subject) Dropping() iter.Seq[int] { return s.dropping() }

// Poison has receive buffers overwritten where they are given back, in all tests.
func Poison() { poison = true }
