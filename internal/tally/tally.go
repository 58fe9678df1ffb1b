// Package tally counts events by kind, for many goroutines at once.
package tally

import (
	"sync/atomic"
	"unsafe"
)

// Kinds is the number of kinds of event that a Counter tells apart.
const Kinds = 16

const (
	stripeBits = 4
	stripes    = 1 << stripeBits // a power of two: see here
)

// A Counter counts events of kinds 0 to Kinds-1. The zero Counter is ready for
// use. All methods are safe for concurrent use.
//
// It is the sum of several stripes, so that threads seldom add to the same word: in a busy
// gateway, that would be the most contended one of all.
type Counter struct {
	_       [64]byte // keeps what stands before off the cache lines of the stripes
	stripes [stripes]stripe
	_       [64]byte
}

// A stripe has one count of each kind, on two cache lines.
type stripe [Kinds]atomic.Uint64

// Add counts one event of that kind. Kinds from Kinds on are taken modulo Kinds.
func (c *Counter) Add(kind uint8) { c.stripes[here()][kind%Kinds].Add(1) }

// Sum returns the number of events of that kind so far. It may or may not include events
// that are counted meanwhile.
func (c *Counter) Sum(kind uint8) uint64 {
	var n uint64
	for i := range c.stripes {
		n += c.stripes[i][kind%Kinds].Load()
	}
	return n
}

// here picks a stripe by where the stack of the goroutine lies, since goroutines that run
// at the same time have different stacks. Nothing but speed depends on the choice.
func here() int {
	var local byte
	at := uint64(uintptr(unsafe.Pointer(&local))) // only looked at, never turned back
	at >>= 11                                     // stacks are at least 2 kB
	// The top bits of the product depend on all bits of at: Fibonacci hashing.
	return int(at * 0x9e3779b97f4a7c15 >> (64 - stripeBits))
}
