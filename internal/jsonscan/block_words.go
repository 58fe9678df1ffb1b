package jsonscan

import (
	"encoding/binary"
	"math/bits"
)

// The contracts of structure, backslashes, brackets, pastEscaped, oddLetters and pair are in
// block.go.
//
// The eight words of a block are gone through one by one. What is found is first gathered
// by columns, since that takes the fewest instructions: byte k of word j of the block is bit
// j of byte k of the result. Then transpose brings the bits into the order of the text. Hot
// loops are unrolled by hand.

// patterns are constants in memory, which a function loads into registers once. For true
// constants, the compiler puts an instruction of ten bytes in every place of use, and
// these then take most of the time.
var patterns = struct{ quote, slash, upper, bracket, one, high, low uint64 }{
	quote:   eightQuotes ^ ^uint64(highs),
	slash:   eightBackslashes ^ ^uint64(highs),
	upper:   0x5f * ones,
	bracket: (0x80 - '[') * ones,
	one:     ones,
	high:    highs,
	low:     ^uint64(highs),
}

// match sets the high bit of each byte of w that is the one looked for, if w is ASCII;
// its other bits mean nothing. The pattern is that byte eight times with its seven low
// bits inverted, so that the xor gives 0x7f where they are equal, and adding one carries
// into the high bit.
func match(w, pattern, one uint64) uint64 { return (w ^ pattern) + one }

// marked sets the high bit of each byte of w that is a mark (see structure in block.go), if w
// is ASCII; its other bits mean nothing. upper clears bit 0x20, which tells '{' from '[',
// and bracket makes '[' and all above it overflow into the high bit.
func marked(w, upper, bracket uint64) uint64 { return w&upper + bracket }

func structureByWords(p *[blockSize]byte) (quotes, marks uint64) {
	quote, upper, bracket, one, high := patterns.quote, patterns.upper, patterns.bracket, patterns.one, patterns.high
	w := binary.LittleEndian.Uint64(p[0:])
	all := w
	quotes, marks = match(w, quote, one)&high, marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[8:]), all|w
	quotes, marks = quotes>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[16:]), all|w
	quotes, marks = quotes>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[24:]), all|w
	quotes, marks = quotes>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[32:]), all|w
	quotes, marks = quotes>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[40:]), all|w
	quotes, marks = quotes>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[48:]), all|w
	quotes, marks = quotes>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[56:]), all|w
	quotes, marks = quotes>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	if (all|w)&high != 0 {
		quotes, marks = anyStructure(p)
	}
	return transpose(quotes), transpose(marks)
}

// anyStructure is structureByWords for blocks that are not all ASCII, without transpose.
func anyStructure(p *[blockSize]byte) (quotes, marks uint64) {
	quote, upper, bracket, one, high, low := patterns.quote, patterns.upper, patterns.bracket, patterns.one, patterns.high, patterns.low
	for i := 0; i < blockSize; i += 8 {
		w := binary.LittleEndian.Uint64(p[i:])
		quotes, marks = quotes>>1|match(w&low, quote, one)&^w&high, marks>>1|(marked(w, upper, bracket)|w)&high
	}
	return quotes, marks
}

func backslashesByWords(p *[blockSize]byte) (slashes uint64) {
	slash, one, high, low := patterns.slash, patterns.one, patterns.high, patterns.low
	for i := 0; i < blockSize; i += 8 {
		w := binary.LittleEndian.Uint64(p[i:])
		slashes = slashes>>1 | match(w&low, slash, one)&^w&high
	}
	return transpose(slashes)
}

func bracketsByWords(p *[blockSize]byte) (opens, closes, braces uint64) {
	high, low := patterns.high, patterns.low
	for i := 0; i < blockSize; i += 8 {
		w := binary.LittleEndian.Uint64(p[i:])
		lower := (w | 0x20*ones) & low
		opens = opens>>1 | match(lower, '{'*ones^low, ones)&^w&high
		closes = closes>>1 | match(lower, '}'*ones^low, ones)&^w&high
		braces = braces>>1 | w<<2&high
	}
	return transpose(opens), transpose(closes), transpose(braces)
}

func pastEscapedByWords(b []byte, i int) int {
	const few = 4 // blocks without a quote in a row before it gives up
	quote, slash, one, high := patterns.quote, patterns.slash, patterns.one, patterns.high
	before1, before2 := uint64(0), uint64(0) // 1 if there is a backslash right before the block, and if there are two
	for left := few; i <= len(b)-blockSize && left > 0; i += blockSize {
		p := (*[blockSize]byte)(b[i:])
		w := binary.LittleEndian.Uint64(p[0:])
		all := w
		quotes, slashes := match(w, quote, one)&high, match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[8:]), all|w
		quotes, slashes = quotes>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[16:]), all|w
		quotes, slashes = quotes>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[24:]), all|w
		quotes, slashes = quotes>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[32:]), all|w
		quotes, slashes = quotes>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[40:]), all|w
		quotes, slashes = quotes>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[48:]), all|w
		quotes, slashes = quotes>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[56:]), all|w
		quotes, slashes = quotes>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		if (all|w)&high != 0 {
			quotes, slashes = anyEscapes(p)
		}
		behind1 := after(slashes, before1)
		twice := slashes & behind1
		if quotes&(^behind1|after(twice, before2)) != 0 {
			// Some quote has no backslash before it, or two or more. (All others have
			// just one, and are escaped.) So count the backslashes exactly.
			if q := transpose(quotes) &^ escaped(transpose(slashes), oddBackslashes(b, i)); q != 0 {
				return i + bits.TrailingZeros64(q)
			}
		}
		before1, before2 = slashes>>63, twice>>63
		if left--; quotes != 0 {
			left = few
		}
	}
	return i
}

// anyEscapes returns, by columns, which bytes of a block are quotes and which are
// backslashes. The block need not be ASCII.
func anyEscapes(p *[blockSize]byte) (quotes, slashes uint64) {
	quote, slash, one, high, low := patterns.quote, patterns.slash, patterns.one, patterns.high, patterns.low
	for i := 0; i < blockSize; i += 8 {
		w := binary.LittleEndian.Uint64(p[i:])
		ascii := high &^ w
		quotes, slashes = quotes>>1|match(w&low, quote, one)&ascii, slashes>>1|match(w&low, slash, one)&ascii
	}
	return quotes, slashes
}

// after returns which bytes come right after those in x, given whether the last byte
// before the block is one of them. Argument and result are by columns: after byte 7 of a
// word comes byte 0 of the next, which is one bit up.
func after(x, before uint64) uint64 { return x<<8 | x>>55&0xfe | before }

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

func pairByWords(b []byte, far int, first, second byte) int {
	i, firsts, seconds := 0, uint64(first)*ones, uint64(second)*ones
	for ; len(b)-far-i >= blockSize; i += blockSize {
		p, q := (*[blockSize]byte)(b[i:]), (*[blockSize]byte)(b[i+far:])
		found := both(word(p[0:])^firsts, word(q[0:])^seconds) | both(word(p[8:])^firsts, word(q[8:])^seconds)
		found |= both(word(p[16:])^firsts, word(q[16:])^seconds) | both(word(p[24:])^firsts, word(q[24:])^seconds)
		found |= both(word(p[32:])^firsts, word(q[32:])^seconds) | both(word(p[40:])^firsts, word(q[40:])^seconds)
		found |= both(word(p[48:])^firsts, word(q[48:])^seconds) | both(word(p[56:])^firsts, word(q[56:])^seconds)
		if found == 0 {
			continue
		}
		for ; ; i += 8 {
			if found := both(word(b[i:])^firsts, word(b[i+far:])^seconds); found != 0 {
				return i + bits.TrailingZeros64(found)/8
			}
		}
	}
	return i
}

// both returns a number whose lowest set bit is the high bit of the first byte that is zero
// in both words, or 0 if there is none.
func both(x, y uint64) uint64 {
	x |= y
	return (x - ones) &^ x & highs
}

// transpose brings a word that is by columns into the order of the text.
func transpose(x uint64) uint64 {
	// An 8 by 8 bit matrix is transposed: single bits change places across the
	// diagonal of each 2 by 2 square, then 2 by 2 squares in each 4 by 4, then 4 by 4.
	t := (x ^ x>>7) & 0x00aa00aa00aa00aa
	x ^= t ^ t<<7
	t = (x ^ x>>14) & 0x0000cccc0000cccc
	x ^= t ^ t<<14
	t = (x ^ x>>28) & 0x00000000f0f0f0f0
	return x ^ t ^ t<<28
}
