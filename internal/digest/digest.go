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
	hi, lo := k.hi.start^uint64(len(part)), k.lo.start^uint64(len(part))
	var a, b uint64
	if len(part) < 16 {
		a, b = ends(part)
	} else {
		last := part[len(part)-16:]
		a, b = word(last), word(last[8:])
		for ; len(part) > 16; part = part[16:] {
			c, d := word(part), word(part[8:])
			hi, lo = mix(c^k.hi.word, d^hi), mix(c^k.lo.word, d^lo)
		}
	}
	hi, lo = mix(a^k.hi.word, b^hi), mix(a^k.lo.word, b^lo)
	return Sum{Hi: mix(s.Hi^hi, k.hi.end), Lo: mix(s.Lo^lo, k.lo.end)}
}

// ends returns all of a string of less than 16 bytes: its first eight and its
// last eight, or all that there are.
func ends(s string) (a, b uint64) {
	if len(s) >= 8 {
		return word(s), word(s[len(s)-8:])
	}
	for i := range len(s) {
		a = a<<8 | uint64(s[i])
	}
	return a, 0
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
