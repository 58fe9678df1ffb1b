// Package tally counts events by kind, for many goroutines at once.
package tally

import (
	"sync/atomic"
	"unsafe"
)

// Kinds is the number of kinds of event that a Counter tells apart.
const Kinds = 16

const stripes = 16

// A Counter counts events of kinds 0 to Kinds-1. The zero Counter is ready for
// use. All methods are safe for concurrent use.
//
// It is striped, since one word that every request of a busy gateway adds to
// would be the most contended one of all.
type Counter struct {
	_       [64]byte // keeps neighbours off the first stripe's cache line
	stripes [stripes]stripe
	_       [64]byte
}

// A stripe fills two cache lines, and no other shares them.
type stripe [Kinds]atomic.Uint64

// Add counts one event of that kind.
func (c *Counter) Add(kind uint8) { c.stripes[here()][kind%Kinds].Add(1) }

// Sum returns the number of events of that kind so far. Events that are being
// counted meanwhile may be missing.
func (c *Counter) Sum(kind uint8) uint64 {
	var n uint64
	for i := range c.stripes {
		n += c.stripes[i][kind%Kinds].Load()
	}
	return n
}

// here picks a stripe by where the stack of the goroutine lies: goroutines that
// run at the same time have different stacks. Nothing depends on the choice
// but speed.
func here() int {
	var local byte
	at := uint64(uintptr(unsafe.Pointer(&local))) // an address to look at, not to go to
	at >>= 11                                     // stacks are at least 2 kB
	return int(at * 0x9e3779b97f4a7c15 >> 60)     // the product's top bits depend on all of it
}
