package jsonscan

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// blockSize is how many bytes are looked at together: as many as a word has
// bits. What is found in a block is a word with one bit for each byte.
//
// In the order of the text, the lowest bit is for the first byte. By columns, the
// bit of byte k of the block's word j is bit j of byte k: that takes less to
// gather, and does where hardly more is asked than what is right behind what, see
// [after]. The one is the other's [transpose].
const blockSize = 64

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
var patterns = struct{ quote, slash, upper, bracket, one, high, low, pack uint64 }{
	quote:   quotes ^ ^uint64(highs),
	slash:   backslashes ^ ^uint64(highs),
	upper:   0x5f * ones,
	bracket: (0x80 - '[') * ones,
	one:     ones,
	high:    highs,
	low:     ^uint64(highs),
	pack:    0x02040810204081,
}

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
// outside a string but for the quotes: those that are not ASCII, and, without
// the bit that tells '{' from '[', are '[' or more. Other bits it sets as it
// likes.
func marked(w, upper, bracket uint64) uint64 { return w&upper + bracket | w }

// structure returns which bytes of a block are quotes and which are marks:
// brackets, and others that never stand outside a string, backslashes among
// them. It does so in the order of the text.
func structure(p *[blockSize]byte) (found, marks uint64) {
	quote, upper, bracket, one, high, low, pack := patterns.quote, patterns.upper, patterns.bracket, patterns.one, patterns.high, patterns.low, patterns.pack
	w := word(p[0:])
	f0, m0 := match(w&low, quote, one)&high*pack>>56, marked(w, upper, bracket)&high*pack>>56
	w = word(p[8:])
	f1, m1 := match(w&low, quote, one)&high*pack>>56<<8, marked(w, upper, bracket)&high*pack>>56<<8
	w = word(p[16:])
	f2, m2 := match(w&low, quote, one)&high*pack>>56<<16, marked(w, upper, bracket)&high*pack>>56<<16
	w = word(p[24:])
	f3, m3 := match(w&low, quote, one)&high*pack>>56<<24, marked(w, upper, bracket)&high*pack>>56<<24
	f0, m0, f2, m2 = f0|f1, m0|m1, f2|f3, m2|m3
	f0, m0 = f0|f2, m0|m2
	w = word(p[32:])
	f1, m1 = match(w&low, quote, one)&high*pack>>56<<32, marked(w, upper, bracket)&high*pack>>56<<32
	w = word(p[40:])
	f2, m2 = match(w&low, quote, one)&high*pack>>56<<40, marked(w, upper, bracket)&high*pack>>56<<40
	f1, m1 = f1|f2, m1|m2
	w = word(p[48:])
	f2, m2 = match(w&low, quote, one)&high*pack>>56<<48, marked(w, upper, bracket)&high*pack>>56<<48
	w = word(p[56:])
	f3, m3 = match(w&low, quote, one)&high*pack>>56<<56, marked(w, upper, bracket)&high*pack>>56<<56
	f2, m2 = f2|f3, m2|m3
	found, marks = f0|(f1|f2), m0|(m1|m2)
	return found &^ marks, marks // without those that are quotes but for the high bit
}

// asciiEscapes returns, by columns, which bytes of a block are quotes and which are
// backslashes, and whether all are ASCII; if not, the rest means nothing.
func asciiEscapes(p *[blockSize]byte) (found, slashes uint64, ascii bool) {
	quote, slash, one, high := patterns.quote, patterns.slash, patterns.one, patterns.high
	w := word(p[0:])
	all := w
	found, slashes = match(w, quote, one)&high, match(w, slash, one)&high
	w = word(p[8:])
	all |= w
	found, slashes = found>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
	w = word(p[16:])
	all |= w
	found, slashes = found>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
	w = word(p[24:])
	all |= w
	found, slashes = found>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
	w = word(p[32:])
	all |= w
	found, slashes = found>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
	w = word(p[40:])
	all |= w
	found, slashes = found>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
	w = word(p[48:])
	all |= w
	found, slashes = found>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
	w = word(p[56:])
	all |= w
	found, slashes = found>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
	return found, slashes, all&high == 0
}

// anyEscapes returns, by columns, which bytes of a block are quotes and which are
// backslashes.
func anyEscapes(p *[blockSize]byte) (found, slashes uint64) {
	quote, slash, one, high, low := patterns.quote, patterns.slash, patterns.one, patterns.high, patterns.low
	for i := 0; i < blockSize; i += 16 {
		w := word(p[i:])
		ascii := high &^ w
		w &= low
		found, slashes = found>>1|match(w, quote, one)&ascii, slashes>>1|match(w, slash, one)&ascii
		w = word(p[i+8:])
		ascii = high &^ w
		w &= low
		found, slashes = found>>1|match(w, quote, one)&ascii, slashes>>1|match(w, slash, one)&ascii
	}
	return found, slashes
}

// after returns which bytes are right behind those in x, given whether the one
// before the block is one of them. All is by columns.
func after(x, before uint64) uint64 { return x<<8 | x>>55&0xfe | before }

// last returns whether the last byte of a block is one of those in x, which may be
// either way.
func last(x uint64) uint64 { return x >> 63 }

// insides returns which bytes of a block are in a string, the quote before it
// included, given the quotes and whether the byte before the block is in one. All
// is in the order of the text.
func insides(found, inside uint64) uint64 {
	// The parity of the number of quotes up to each byte.
	found ^= found << 1
	found ^= found << 2
	found ^= found << 4
	found ^= found << 8
	found ^= found << 16
	found ^= found << 32
	return found ^ -inside
}

// unescaped returns which of the quotes in a block are not escaped, given the
// backslashes. first is one if the first byte of the block is escaped. All is by
// columns.
func unescaped(found, slashes, first uint64) uint64 {
	behind1 := after(slashes, first)
	behind2 := after(slashes&behind1, 0)
	behind3 := after(slashes&behind2, 0)
	if found&after(slashes&behind3, 0) == 0 {
		// None is behind more than three backslashes.
		return found & (^behind1 | behind2&^behind3)
	}
	// In the order of the text a run of backslashes that begin escapes ends an
	// odd number of bytes from its start if adding one at its start carries from
	// an even place to an odd one or the other way round.
	const odd = 0xaaaaaaaaaaaaaaaa
	slashes = transpose(slashes)
	begin := slashes &^ first
	pairs := (begin<<1 | odd - begin) ^ odd
	return found &^ transpose(pairs^(slashes|first))
}

// transpose puts what is by columns in the order of the text, and the other way
// round.
func transpose(x uint64) uint64 {
	// An 8 by 8 matrix: single bits change places across the diagonal of every
	// 2 by 2, then pairs of every 4 by 4, then fours.
	t := (x ^ x>>7) & 0x00aa00aa00aa00aa
	x ^= t ^ t<<7
	t = (x ^ x>>14) & 0x0000cccc0000cccc
	x ^= t ^ t<<14
	t = (x ^ x>>28) & 0x00000000f0f0f0f0
	return x ^ t ^ t<<28
}

// plainUntil returns the offset of a byte, from b[i] on, before which there is
// no quote, no bracket and nothing else but what may stand between strings.
func plainUntil(b []byte, i int) int {
	quote, upper, bracket, one, high := patterns.quote, patterns.upper, patterns.bracket, patterns.one, patterns.high
	for len(b)-i >= 32 {
		p := (*[32]byte)(b[i:])
		w0, w1, w2, w3 := word(p[0:]), word(p[8:]), word(p[16:]), word(p[24:])
		if (marked(w0, upper, bracket)|match(w0, quote, one)|
			marked(w1, upper, bracket)|match(w1, quote, one)|
			marked(w2, upper, bracket)|match(w2, quote, one)|
			marked(w3, upper, bracket)|match(w3, quote, one))&high != 0 {
			break
		}
		i += 32
	}
	return i
}

// backslash returns the offset of the first backslash in b, or -1. A short way is
// quicker by words than with IndexByte, which is at its best where the way is long.
func backslash(b []byte) int {
	if len(b) < 16 {
		return bytes.IndexByte(b, '\\')
	}
	if m := equal(word(b), backslashes); m != 0 {
		return bits.TrailingZeros64(m) / 8
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
