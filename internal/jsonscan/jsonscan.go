// Package jsonscan reads JSON text forward, once, without recursion and
// without allocating: what it returns is part of the text. Only the name of a
// member is copied if there are escapes in it.
//
// It checks the structure: brackets, commas, colons, literals, numbers and
// nesting are those of RFC 8259, or reading stops and [Cursor.OK] is false.
// Inside a string that is passed over, only its end is looked for, so raw
// control characters, bad escapes and bad UTF-8 go unnoticed there: whoever
// reads a string decides what it may hold.
package jsonscan

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth is how many objects and arrays may be open at once in a value that
// is skipped, itself among them.
const MaxDepth = 1024

// A Cursor stands before a value, a member or the end of a JSON text. Copy it
// to come back to a place. Once reading has failed, every method reports that
// there is nothing more.
type Cursor struct {
	data  []byte
	pos   int
	first bool // nothing has been read since the bracket was opened
	bad   bool
}

// New returns a Cursor before the value in data.
func New(data []byte) Cursor { return Cursor{data: data} }

// OK reports whether all that was read so far was well-formed.
func (c *Cursor) OK() bool { return !c.bad }

// Pos returns the offset behind what was read last, and behind the white space
// there if it was looked past.
func (c *Cursor) Pos() int { return c.pos }

// End reports whether nothing but white space is left, and all was well.
func (c *Cursor) End() bool { return !c.bad && c.ahead() == len(c.data) }

// ahead goes past white space and returns the offset of what comes next.
func (c *Cursor) ahead() int {
	c.pos = space(c.data, c.pos)
	return c.pos
}

// Kind returns the first byte of the next value: one of {["tfn, a digit or a
// minus. It returns 0 at the end of the text, and where there is no well-formed
// value whatever byte stands there.
func (c *Cursor) Kind() byte {
	if c.bad || c.ahead() == len(c.data) {
		return 0
	}
	return c.data[c.pos]
}

// Object enters the next value if it is an object, and else stays before it.
func (c *Cursor) Object() bool { return c.enter('{') }

// Array enters the next value if it is an array, and else stays before it.
func (c *Cursor) Array() bool { return c.enter('[') }

func (c *Cursor) enter(bracket byte) bool {
	if c.Kind() != bracket {
		return false
	}
	c.pos++
	c.first = true
	return true
}

// Key goes on to the next member of the object that was entered last, and
// returns its name; the Cursor is then right before its value, which must be
// read or skipped. At the end of the object it returns false and leaves the object.
func (c *Cursor) Key() ([]byte, bool) {
	if !c.next('}') {
		return nil, false
	}
	start := c.ahead()
	end := str(c.data, start)
	if end < 0 {
		c.bad = true
		return nil, false
	}
	c.pos = end
	if c.Kind() != ':' {
		c.bad = true
		return nil, false
	}
	c.pos++
	c.ahead()
	name := c.data[start+1 : end-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		name = AppendText(nil, name)
	}
	return name, true
}

// Element goes on to the next element of the array that was entered last; the
// Cursor is then before it, and it must be read or skipped. At the end of the
// array it returns false and leaves the array.
func (c *Cursor) Element() bool { return c.next(']') }

// next reads what is between two members or elements.
func (c *Cursor) next(closing byte) bool {
	first := c.first
	c.first = false
	switch k := c.Kind(); {
	case k == closing:
		c.pos++
		return false
	case first && k != 0:
		return true
	case k == ',':
		c.pos++
		return true
	}
	c.bad = true
	return false
}

// Skip goes past the next value and returns its text. It returns nil if the
// value is malformed.
func (c *Cursor) Skip() []byte {
	if c.bad {
		return nil
	}
	start := c.ahead()
	end := skip(c.data, start)
	if end < 0 {
		c.bad = true
		return nil
	}
	c.pos = end
	return c.data[start:end]
}

// String goes past the next value and returns what is between its quotes,
// escapes and all, if it is a string.
func (c *Cursor) String() ([]byte, bool) {
	if raw := c.Skip(); len(raw) > 0 && raw[0] == '"' {
		return raw[1 : len(raw)-1], true
	}
	return nil, false
}

// space returns the offset of what comes after white space.
func space(b []byte, i int) int {
	const spaces uint64 = 1<<' ' | 1<<'\n' | 1<<'\t' | 1<<'\r'
	for i < len(b) && b[i] <= ' ' && spaces>>b[i]&1 != 0 {
		i++
	}
	return i
}

// str returns the offset behind the string that starts at b[i], or -1.
func str(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	for i++; ; i++ {
		// Go to the next quote. Most are near: a few words are searched here,
		// before IndexByte, which is at its best where the way is long.
		for far := i + 4*8; ; i += 8 {
			if i == far || len(b)-i < 8 {
				n := bytes.IndexByte(b[i:], '"')
				if n < 0 {
					return -1
				}
				i += n
				break
			}
			if m := quotes(binary.LittleEndian.Uint64(b[i:])); m != 0 {
				i += bits.TrailingZeros64(m) / 8
				break
			}
		}
		// It is escaped if an odd number of backslashes is before it. What
		// ends a run of them, the quote before at the latest, is no backslash,
		// so each is counted once in all.
		slashes := i
		for b[slashes-1] == '\\' {
			slashes--
		}
		if (i-slashes)%2 == 0 {
			return i + 1
		}
	}
}

// quotes returns 0 if none of the eight bytes in word is a quote, and else a
// number whose lowest bit is in the place of the first.
func quotes(word uint64) uint64 {
	const ones = 0x0101010101010101
	x := word ^ '"'*ones // a zero byte for each quote
	return (x - ones) &^ x & (0x80 * ones)
}

// skip returns the offset behind the value that starts at b[i], or -1.
func skip(b []byte, i int) int {
	var objects [MaxDepth / 64]uint64 // one bit a level: an object, not an array
	depth := 0
	closing := byte(0) // of the innermost object or array
	for {
		// Before a value.
		if i = space(b, i); i == len(b) {
			return -1
		}
		switch c := b[i]; c {
		case '"':
			i = str(b, i)
		case '{', '[':
			if depth == MaxDepth {
				return -1
			}
			objects[depth/64] &^= 1 << (depth % 64)
			if c == '{' {
				objects[depth/64] |= 1 << (depth % 64)
			}
			depth++
			closing = c + 2 // as it is in ASCII
			if i = space(b, i+1); i == len(b) {
				return -1
			}
			if b[i] != closing {
				if c == '{' {
					if i = key(b, i); i < 0 {
						return -1
					}
				}
				continue
			}
		case 't':
			i = literal(b, i, "true")
		case 'f':
			i = literal(b, i, "false")
		case 'n':
			i = literal(b, i, "null")
		default:
			i = number(b, i)
		}
		if i < 0 {
			return -1
		}
		// Behind a value, or before the bracket that closes an empty one:
		// close what closes here, and go on to the next value.
		for {
			if depth == 0 {
				return i
			}
			if i = space(b, i); i == len(b) {
				return -1
			}
			if b[i] == ',' {
				break
			}
			if b[i] != closing {
				return -1
			}
			i++
			if depth--; depth > 0 {
				closing = ']'
				if objects[(depth-1)/64]>>((depth-1)%64)&1 != 0 {
					closing = '}'
				}
			}
		}
		i++
		if closing == '}' {
			if i = key(b, space(b, i)); i < 0 {
				return -1
			}
		}
	}
}

// key returns the offset behind the name that starts at b[i] and its colon, or
// -1.
func key(b []byte, i int) int {
	if i = str(b, i); i < 0 {
		return -1
	}
	if i = space(b, i); i == len(b) || b[i] != ':' {
		return -1
	}
	return i + 1
}

func literal(b []byte, i int, s string) int {
	if len(b)-i < len(s) || string(b[i:i+len(s)]) != s {
		return -1
	}
	return i + len(s)
}

// number returns the offset behind the number that starts at b[i], or -1.
func number(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = digits(b, i); i < 0 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i = digits(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		i = digits(b, i)
	}
	return i
}

// digits returns the offset behind the digits that start at b[i], or -1 if
// there are none.
func digits(b []byte, i int) int {
	start := i
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// AppendText appends the text that raw, the inside of a JSON string, stands
// for. What is not a valid escape is taken literally; half a surrogate pair
// becomes U+FFFD. The text is never longer than raw.
func AppendText(dst, raw []byte) []byte {
	dst = slices.Grow(dst, len(raw))
	var buf Rune
	for len(raw) > 0 {
		var piece []byte
		piece, raw = NextPiece(raw, &buf)
		dst = append(dst, piece...)
	}
	return dst
}

// Rune has room for the text of an escape.
type Rune [utf8.UTFMax]byte

// NextPiece returns the text that the start of raw stands for, and what is left
// of raw: either all up to the next escape, or one escape. The piece is part of
// raw or of buf, and good until the next call.
func NextPiece(raw []byte, buf *Rune) (piece, rest []byte) {
	switch n := bytes.IndexByte(raw, '\\'); n {
	case -1:
		return raw, nil
	case 0:
		piece, n = unescape(raw, buf)
		return piece, raw[n:]
	default:
		return raw[:n], raw[n:]
	}
}

// unescape returns what the escape at the start of raw stands for, in buf if
// it must, and its length.
func unescape(raw []byte, buf *Rune) (text []byte, used int) {
	if len(raw) < 2 {
		return raw, len(raw)
	}
	switch raw[1] {
	case '"', '\\', '/':
		return raw[1:2], 2
	case 'b':
		buf[0] = '\b'
	case 'f':
		buf[0] = '\f'
	case 'n':
		buf[0] = '\n'
	case 'r':
		buf[0] = '\r'
	case 't':
		buf[0] = '\t'
	case 'u':
		r, ok := hex4(raw)
		if !ok {
			return raw[:2], 2
		}
		used = 6
		if utf16.IsSurrogate(r) {
			low, _ := hex4(raw[6:])
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				used = 12
			}
		}
		return buf[:utf8.EncodeRune(buf[:], r)], used
	default:
		return raw[:2], 2
	}
	return buf[:1], 2
}

// hex4 reads \uXXXX at the start of raw.
func hex4(raw []byte) (rune, bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range raw[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
