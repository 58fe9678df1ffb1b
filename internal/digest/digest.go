// Package digest makes 128-bit keyed digests of lists of strings, at the cost of
// little more than one pass of xxhash and without a copy of the strings.
//
// Half of a digest comes from xxhash, which is fast and known to spread well but
// has no key of its own: whoever likes can make strings that it takes for one.
// The other half comes from a product that nobody can foresee without the key.
// Both are mixed with the key before they are seen. So digests differ unless
// both halves fail, and tell nothing of the strings to those who have no key. They
// are not meant to withstand somebody who can ask for digests without end.
package digest

import (
	"math/bits"
	"math/rand/v2"

	"github.com/cespare/xxhash/v2"
)

// A Sum is a digest. The zero Sum is that of no strings.
type Sum struct{ Hi, Lo uint64 }

// A Key makes the digests of one owner differ from those of all others.
type Key [5]uint64

// NewKey returns a random Key.
func NewKey() (k Key) {
	for i := range k {
		k[i] = rand.Uint64()
	}
	return k
}

// Add returns the digest of the strings that s is the digest of, and then part.
// Strings are kept apart: "a", "bc" and "ab", "c" have two digests.
func (k *Key) Add(s Sum, part string) Sum {
	return Sum{
		Hi: mix(s.Hi^xxhash.Sum64String(part)^k[0], k[1]),
		Lo: mix(s.Lo^k.fold(part), k[3]),
	}
}

// fold returns a number that depends on all of s, by k[2] to k[4]: it takes 16
// bytes at a time, the last of which may be some that it has taken already.
func (k *Key) fold(s string) uint64 {
	h := k[2] ^ uint64(len(s))
	switch {
	case len(s) >= 16:
		for i := 0; i < len(s)-16; i += 16 {
			h = mix(word(s[i:])^k[4], word(s[i+8:])^h)
		}
		return mix(word(s[len(s)-16:])^k[4], word(s[len(s)-8:])^h)
	case len(s) >= 8:
		return mix(word(s)^k[4], word(s[len(s)-8:])^h)
	}
	var short uint64
	for i := range len(s) {
		short = short<<8 | uint64(s[i])
	}
	return mix(short^k[4], h)
}

// mix multiplies to 128 bits and folds these into one word.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// word reads eight bytes.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
