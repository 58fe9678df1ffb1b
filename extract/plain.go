package extract

import (
	"bytes"
	"sync"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// A text is plain if it is as written between its quotes in JSON, with everything in it written
// in the shortest way: quotes, backslashes and control characters are escaped, and nothing else
// is (jsonscan.AppendPlain). There is one plain form of each text, so plain texts can be
// compared and hashed byte by byte. Most texts are plain in the body, and are used there,
// without a copy. The others come from JSON writers that escape slashes, angle brackets or
// all that is not ASCII, and from proxies that rewrite what they pass on.

// lineBreak and paragraphBreak are how a line and a paragraph end in a plain text.
var (
	lineBreak      = []byte(`\n`)
	paragraphBreak = []byte(`\n\n`)
)

// withPlain calls f with the plain form of raw, a text as written between its quotes. If lent is
// true, the text is valid only until f returns; otherwise it is raw itself.
func withPlain(raw []byte, f func(text []byte, lent bool)) {
	odd := jsonscan.LongEscape(raw)
	if odd < 0 {
		f(raw, false)
		return
	}
	room := borrow(len(raw))
	*room = jsonscan.AppendPlain(append(*room, raw[:odd]...), raw[odd:])
	f(*room, true)
	giveBack(room)
}

// scratch lends buffers for texts that have to be rewritten.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// maxScratch is the largest room that is kept for others: under load each processor keeps
// what it has, and one text as long as a body may be would take up as much for good.
const maxScratch = 4 << 20

// borrow returns an empty slice from scratch with room for n bytes. The borrower gives it
// back.
func borrow(n int) *[]byte {
	room := scratch.Get().(*[]byte)
	if cap(*room) < n { // slices.Grow would copy its contents
		*room = make([]byte, 0, n)
	}
	*room = (*room)[:0]
	return room
}

func giveBack(room *[]byte) {
	if cap(*room) <= maxScratch {
		scratch.Put(room)
	}
}

// trim cuts white space off both ends of a plain text.
func trim(text []byte) []byte { return trimEnd(trimStart(text)) }

// trimStart cuts off leading white space.
func trimStart(text []byte) []byte {
	for {
		switch {
		case len(text) > 0 && text[0] == ' ':
			text = text[1:]
		case len(text) > 1 && text[0] == '\\' && (text[1] == 'n' || text[1] == 'r' || text[1] == 't'):
			text = text[2:]
		default:
			return text
		}
	}
}

// trimEnd cuts off trailing white space. An n after an even number of backslashes is the
// letter, as in the path C:\new, which is written C:\\new.
func trimEnd(text []byte) []byte {
	for {
		n := len(text)
		switch {
		case n > 0 && text[n-1] == ' ':
			text = text[:n-1]
		case n > 1 && (text[n-1] == 'n' || text[n-1] == 'r' || text[n-1] == 't') && backslashesBefore(text[:n-1])%2 == 1:
			text = text[:n-2]
		default:
			return text
		}
	}
}

// backslashesBefore returns how many backslashes text ends in.
func backslashesBefore(text []byte) int {
	n := len(text)
	for n > 0 && text[n-1] == '\\' {
		n--
	}
	return len(text) - n
}

// endOf returns where the first closing in text[from:] ends, or 0 if there is none. A line break
// after an odd number of backslashes is none, but the letter n after a backslash, as in the path
// C:\new, and in JSON that is quoted.
func endOf(text []byte, from int, closing []byte) int {
	for {
		i := bytes.Index(text[from:], closing)
		if i < 0 {
			return 0
		}
		if from += i; backslashesBefore(text[:from])%2 == 0 {
			return from + len(closing)
		}
		from += len(lineBreak)
	}
}

// cutLine returns the first line of a plain text and what comes after it, which is nil if no line
// break ends that line.
func cutLine(text []byte) (line, rest []byte) {
	i := jsonscan.LineBreak(text)
	if i > 0 && text[i-1] == '\\' { // it may be none
		i = endOf(text, 0, lineBreak) - len(lineBreak)
	}
	if i < 0 {
		return text, nil
	}
	return text[:i], text[i+len(lineBreak):]
}

// lastLine returns the last line of a plain text.
func lastLine(text []byte) []byte {
	for end := len(text); bytes.Contains(text[:end], lineBreak); { // LastIndex would take many times as long to find that out
		end = bytes.LastIndex(text[:end], lineBreak)
		if backslashesBefore(text[:end])%2 == 0 {
			return text[end+len(lineBreak):]
		}
	}
	return text
}

// lastIndex is bytes.LastIndex for long texts. That goes back byte by byte; lastIndex goes
// back by pieces, in which bytes.Index looks at many bytes at once. Since that would stop at each
// escape, it looks for what comes after the line breaks that a word begins with. The word must
// not be empty.
func lastIndex(text, word []byte) int {
	const size = 1 << 10
	rest := word
	for len(rest) > len(lineBreak) && bytes.HasPrefix(rest, lineBreak) {
		rest = rest[len(lineBreak):]
	}
	breaks := word[:len(word)-len(rest)]
	for end := len(text); end > 0; end -= size {
		last := -1
		for from := max(0, end-size); ; from++ {
			i := bytes.Index(text[from:min(end+len(rest)-1, len(text))], rest)
			if i < 0 {
				break
			}
			if from += i; bytes.HasSuffix(text[:from], breaks) {
				last = from - len(breaks)
			}
		}
		if last >= 0 {
			return last
		}
	}
	return -1
}
