package extract

import (
	"bytes"

	"github.com/cespare/xxhash/v2"
)

// places is a digest of the file paths that some texts name, in their order. They include the
// directory that a client works in. So they tell one project from another if all else is the
// same, and do not change with the date or the name of the model in a prompt.
type places struct {
	sum     sum   // over the paths
	n       int32 // how many
	slashes int32 // how many were looked at to find them
}

// and returns the places of two texts, p first.
func (p places) and(o places) places {
	switch {
	case p.n == 0:
		return o
	case o.n == 0:
		return p
	}
	return places{sum: p.sum.join(pathSalt, o.sum), n: p.n + o.n}
}

// maxPlaces is how many paths count, and maxSlashes how many slashes are looked at to find
// them, in all texts together. The working directory is among the first.
const (
	maxPlaces  = 16
	maxSlashes = 1 << 14
)

// read adds the absolute paths in a text, given as written between its quotes in the body, until
// there are as many as most. A path has at least two parts: "/help" is a command.
func (p *places) read(raw []byte, most int32) {
	for i := 0; p.n < most && p.slashes < maxSlashes; p.slashes++ {
		next := bytes.IndexByte(raw[i:], '/')
		if next < 0 {
			return
		}
		start := i + next
		i = start + 1
		if !mayBegin(raw, start) {
			continue
		}
		for i < len(raw) && inPath(raw[i]) {
			i++
		}
		path := bytes.TrimRight(raw[start:i], "/.")
		if bytes.LastIndexByte(path, '/') > 0 && path[1] != '/' {
			p.sum = p.sum.add(pathSalt, xxhash.Sum64(path))
			p.n++
		}
	}
}

// mayBegin reports whether a path may begin at raw[i]: after white space or an
// opening mark, but not inside a word, a URL or a tag.
func mayBegin(raw []byte, i int) bool {
	if i == 0 {
		return true
	}
	switch raw[i-1] {
	case ' ', '(', '[', '{', '>', '=', ':', ',', '\'', '`', '"', '|':
		return true
	case 'n', 't', 'r':
		return i > 1 && raw[i-2] == '\\' // an escaped line break or tab
	}
	return false
}

// inPath reports whether c may be part of a path. All that is not ASCII may.
func inPath(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '/' || c == '.' || c == '-' || c == '_' || c == '~' || c == '@' || c == '+' || c >= 0x80
}
