package jsonscan

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// blockSize is how many bytes are looked at together: as many as a word has
// bits. What is found in a block is a word with one bit for each byte, the lowest
// for the first.
const blockSize = 64

// Three functions have two bodies: block_amd64.s in assembly, and block_generic.go in Go
// for other processors and for the tag purego. Tests hold either to this:
//
//   - structure(p) returns which bytes of a block are quotes and which are marks: brackets,
//     and others that never stand outside a string, backslashes among them.
//   - pastEscaped(b, i) goes on through the string that b[i] is in, right behind a quote
//     that is escaped. It returns the offset of the quote that ends the string, or one
//     before it, which may be behind a backslash: where less than a block is left, and,
//     in Go, where a few blocks in a row have no quotes, which others are quicker to find.
//   - oddLetters(b) returns the offset of the first block of b in which a backslash has an
//     odd byte behind it, or seems to, or where no more than a block is left. Blocks are
//     counted from the start.

// What is done to the eight bytes of a word at once.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080

	quotes      = '"' * ones
	backslashes = '\\' * ones
)

// patterns are constants in memory, from where a function reads them once. The
// compiler writes real ones, ten bytes each, into every place where they are
// used, which is what then takes the time.
var patterns = struct{ quote, slash, upper, bracket, one, high, low uint64 }{
	quote:   quotes ^ ^uint64(highs),
	slash:   backslashes ^ ^uint64(highs),
	upper:   0x5f * ones,
	bracket: (0x80 - '[') * ones,
	one:     ones,
	high:    highs,
	low:     ^uint64(highs),
}

// word returns the first eight bytes of b. Who reads whole blocks does without it,
// and has each of its readings stand in a line with other work: for a call that is
// inlined and has no line of its own, the compiler puts in an instruction that does
// nothing, and these made up a tenth.
func word(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// equal returns 0 if no byte in w is that of pattern, and else a number whose
// lowest bit is the high bit of the first that is.
func equal(w, pattern uint64) uint64 {
	x := w ^ pattern // a zero byte where they are equal
	return (x - ones) &^ x & highs
}

// match sets the high bit of each byte in w that is that of pattern, given with
// its seven low bits turned over, if w is ASCII. Other bits it sets as it likes.
func match(w, pattern, one uint64) uint64 { return (w ^ pattern) + one }

// marked sets the high bit of each byte in w that is a bracket, or never stands
// outside a string but for the quotes, if w is ASCII: those that, without the bit
// that tells '{' from '[', are '[' or more. Other bits it sets as it likes.
func marked(w, upper, bracket uint64) uint64 { return w&upper + bracket }

// insides returns which bytes of a block are in a string, the quote before it
// included, given the quotes and whether the byte before the block is in one: those
// up to which the number of quotes is odd.
func insides(quotes, inside uint64) uint64 {
	quotes ^= quotes << 1
	quotes ^= quotes << 2
	quotes ^= quotes << 4
	quotes ^= quotes << 8
	quotes ^= quotes << 16
	quotes ^= quotes << 32
	return quotes ^ -inside
}

// plainUntil returns the offset of a byte, from b[i] on, before which there is
// no quote, no bracket and nothing else but what may stand between strings.
func plainUntil(b []byte, i int) int {
	quote, upper, bracket, one, high := patterns.quote, patterns.upper, patterns.bracket, patterns.one, patterns.high
	for len(b)-i >= 32 {
		p := (*[32]byte)(b[i:])
		w0, w1, w2, w3 := word(p[0:]), word(p[8:]), word(p[16:]), word(p[24:])
		if (marked(w0, upper, bracket)|match(w0, quote, one)|w0|
			marked(w1, upper, bracket)|match(w1, quote, one)|w1|
			marked(w2, upper, bracket)|match(w2, quote, one)|w2|
			marked(w3, upper, bracket)|match(w3, quote, one)|w3)&high != 0 {
			break
		}
		i += 32
	}
	return i
}

// backslash returns the offset of the first backslash in b, or -1. A short way is
// quicker by words than with IndexByte, which is at its best where the way is long.
func backslash(b []byte) int {
	if len(b) < 8 {
		if len(b) >= 4 {
			first, last := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[len(b)-4:])
			if equal(uint64(first)|uint64(last)<<32, backslashes) == 0 {
				return -1
			}
		}
		for i, c := range b {
			if c == '\\' {
				return i
			}
		}
		return -1
	}
	if m := equal(word(b), backslashes); m != 0 {
		return bits.TrailingZeros64(m) / 8
	}
	if len(b) < 16 {
		last := len(b) - 8
		if m := equal(word(b[last:]), backslashes); m != 0 {
			return last + bits.TrailingZeros64(m)/8
		}
		return -1
	}
	if m := equal(word(b[8:]), backslashes); m != 0 {
		return 8 + bits.TrailingZeros64(m)/8
	}
	n := bytes.IndexByte(b[16:], '\\')
	if n < 0 {
		return -1
	}
	return 16 + n
}

// QuoteBefore returns the offset of the first quote in b that has c far bytes behind it, or
// -1. So the name of a member is looked for: with that distance and byte of it that least
// other text has in common, and not one byte after the other.
func QuoteBefore(b []byte, far int, c byte) int {
	i, pattern := 0, uint64(c)*ones
	for ; len(b)-far-i >= blockSize; i += blockSize {
		p, q := (*[blockSize]byte)(b[i:]), (*[blockSize]byte)(b[i+far:])
		found := both(word(p[0:]), word(q[0:]), pattern) | both(word(p[8:]), word(q[8:]), pattern)
		found |= both(word(p[16:]), word(q[16:]), pattern) | both(word(p[24:]), word(q[24:]), pattern)
		found |= both(word(p[32:]), word(q[32:]), pattern) | both(word(p[40:]), word(q[40:]), pattern)
		found |= both(word(p[48:]), word(q[48:]), pattern) | both(word(p[56:]), word(q[56:]), pattern)
		if found&highs != 0 {
			break
		}
	}
	for ; i < len(b)-far; i++ {
		if b[i] == '"' && b[i+far] == c {
			return i
		}
	}
	return -1
}

// both returns a number that has a high bit set if there is a quote in the first word where
// the second has the byte of pattern.
func both(first, second, pattern uint64) uint64 {
	x := (first ^ quotes) | (second ^ pattern)
	return (x - ones) &^ x
}

// OddPairs reports whether raw, the inside of a JSON string, has a backslash with a u
// or a slash behind it. If it has none, all its escapes are written in the shortest
// way. If it has one, that may also be no escape, since the backslash is escaped itself.
func OddPairs(raw []byte) bool {
	for len(raw) > blockSize {
		raw = raw[oddLetters(raw):]
		if len(raw) <= blockSize {
			break
		}
		if oddPairs(raw[:blockSize+1]) {
			return true
		}
		raw = raw[blockSize:]
	}
	for ; len(raw) > 8; raw = raw[8:] {
		if oddLetter(word(raw), word(raw[1:])) != 0 && oddPairs(raw[:9]) {
			return true
		}
	}
	return oddPairs(raw)
}

// oddPairs is OddPairs, byte by byte.
func oddPairs(raw []byte) bool {
	for i := 1; i < len(raw); i++ {
		if raw[i-1] == '\\' && (raw[i] == 'u' || raw[i] == '/') {
			return true
		}
	}
	return false
}

// oddLetter returns a number that has a high bit set for each backslash in one word
// that has an odd byte beside it in the other, as those of the shortest escapes are
// not. It may have more behind the first.
func oddLetter(slashes, letters uint64) uint64 {
	slashes ^= backslashes // a zero byte for each
	return (slashes - ones) &^ slashes & (letters << 7) & highs
}

// oddLettersByWords is oddLetters where there is nothing quicker.
func oddLettersByWords(b []byte) int {
	i := 0
	for len(b)-i > blockSize {
		p := (*[blockSize + 1]byte)(b[i:])
		found := oddLetter(word(p[0:]), word(p[1:])) | oddLetter(word(p[8:]), word(p[9:]))
		found |= oddLetter(word(p[16:]), word(p[17:])) | oddLetter(word(p[24:]), word(p[25:]))
		found |= oddLetter(word(p[32:]), word(p[33:])) | oddLetter(word(p[40:]), word(p[41:]))
		found |= oddLetter(word(p[48:]), word(p[49:])) | oddLetter(word(p[56:]), word(p[57:]))
		if found != 0 {
			break
		}
		i += blockSize
	}
	return i
}
