// Package digest makes 128-bit keyed digests of lists of strings, in one pass and
// without a copy of the strings.
//
// The two halves of a digest are made in the same way, each with a part of the key of
// its own, so that two lists have the same digest only if both halves collide. Each
// mixes the strings with the key by multiplication to 128 bits, as wyhash does. So
// without the key, nobody can foresee digests, or learn anything about the strings from
// them. They are not meant to withstand somebody who can ask for digests without end.
package digest

import (
	"math/bits"
	"math/rand/v2"
)

// A Sum is a digest. The zero Sum is that of no strings.
type Sum struct{ Hi, Lo uint64 }

// A Key makes the digests of one owner differ from those of all others.
type Key struct{ hi, lo secret }

// A secret is the part of a Key for one half of the digests. start is mixed with the digest
// of the strings before, text with the bytes of a string, and end with its length.
type secret struct{ start, text, end uint64 }

// NewKey returns a random Key.
func NewKey() Key { return Key{newSecret(), newSecret()} }

func newSecret() secret { return secret{rand.Uint64(), rand.Uint64(), rand.Uint64()} }

// Add returns the digest of a list of strings, given the digest s of all but the last and
// that one, part. Strings are kept apart: "a", "bc" and "ab", "c" have different digests. As
// s is mixed with part by XOR, it must stay secret if others choose part.
//
// It does not allocate.
func (k *Key) Add(s Sum, part string) Sum {
	// a and b are the last 16 bytes, which overlap with those before if the length is not a
	// multiple of 16. Of shorter strings, a and b are the first and the last bytes, which may
	// overlap, too.
	n := len(part)
	hi, lo := k.hi.start^s.Hi, k.lo.start^s.Lo
	var a, b uint64
	switch {
	case n >= 16:
		rest := part
		for ; len(rest) > 32; rest = rest[32:] { // two at once, which saves half of the moves between registers
			c, d := word(rest), word(rest[8:])
			hi, lo = mix(c^k.hi.text, d^hi), mix(c^k.lo.text, d^lo)
			c, d = word(rest[16:]), word(rest[24:])
			hi, lo = mix(c^k.hi.text, d^hi), mix(c^k.lo.text, d^lo)
		}
		if len(rest) > 16 {
			c, d := word(rest), word(rest[8:])
			hi, lo = mix(c^k.hi.text, d^hi), mix(c^k.lo.text, d^lo)
		}
		a, b = word(part[n-16:]), word(part[n-8:])
	case n >= 8:
		a, b = word(part), word(part[n-8:])
	case n >= 4:
		a, b = half(part), half(part[n-4:])
	case n >= 2:
		a, b = quarter(part), quarter(part[n-2:])
	case n > 0:
		a = uint64(part[0])
	}
	hi, lo = mix(a^k.hi.text, b^hi), mix(a^k.lo.text, b^lo)
	// The length tells strings apart that have the same a and b. It is mixed in only here: in a
	// or b, a byte of the string could cancel it out.
	return Sum{Hi: mix(hi, k.hi.end^uint64(n)), Lo: mix(lo, k.lo.end^uint64(n))}
}

// mix multiplies to 128 bits and folds these into 64.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// half reads four bytes.
func half(s string) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}

// quarter reads two bytes.
func quarter(s string) uint64 { return uint64(s[0]) | uint64(s[1])<<8 }

// word reads eight bytes.
func word(s string) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
