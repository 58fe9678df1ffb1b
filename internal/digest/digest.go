// Package digest makes 128-bit keyed digests of lists of strings, at the cost of
// one pass and without a copy of the strings.
//
// The two halves of a digest are made alike, by products that nobody can foresee
// without the key, and each by a part of the key that the other knows nothing
// of. So digests differ unless both halves fail, and tell nothing of the strings
// to those who have no key. They are not meant to withstand somebody who can ask
// for digests without end.
package digest

import (
	"math/bits"
	"math/rand/v2"
)

// A Sum is a digest. The zero Sum is that of no strings.
type Sum struct{ Hi, Lo uint64 }

// A Key makes the digests of one owner differ from those of all others.
type Key struct{ hi, lo secret }

// A secret is the part of a Key for one half.
type secret struct{ start, word, end uint64 }

// NewKey returns a random Key.
func NewKey() Key { return Key{newSecret(), newSecret()} }

func newSecret() secret { return secret{rand.Uint64(), rand.Uint64(), rand.Uint64()} }

// Add returns the digest of the strings that s is the digest of, and then part.
// Strings are kept apart: "a", "bc" and "ab", "c" have two digests.
//
// It takes 16 bytes at a time, the last of which may be some that it has taken
// already.
func (k *Key) Add(s Sum, part string) Sum {
	n := len(part)
	hi, lo := k.hi.start, k.lo.start
	var a, b uint64
	switch {
	case n >= 16:
		last := part[n-16:]
		a, b = word(last), word(last[8:])
		for ; len(part) > 16; part = part[16:] {
			c, d := word(part), word(part[8:])
			hi, lo = mix(c^k.hi.word, d^hi), mix(c^k.lo.word, d^lo)
		}
	// Of shorter ones, the first and the last bytes, or all that there are.
	case n >= 8:
		a, b = word(part), word(part[n-8:])
	case n >= 4:
		a, b = half(part), half(part[n-4:])
	case n > 0:
		a = uint64(part[0])<<16 | uint64(part[n/2])<<8 | uint64(part[n-1])
	}
	hi, lo = mix(a^k.hi.word, b^hi), mix(a^k.lo.word, b^lo)
	// The length counts here, where no byte of the string can make up for it.
	return Sum{Hi: mix(s.Hi^hi, k.hi.end^uint64(n)), Lo: mix(s.Lo^lo, k.lo.end^uint64(n))}
}

// mix multiplies to 128 bits and folds these into one word.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// half reads four bytes.
func half(s string) uint64 {
	_ = s[3]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}

// word reads eight bytes.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
