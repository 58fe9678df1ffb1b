package extract

import (
	"bytes"

	"github.com/cespare/xxhash/v2"
)

// places are the directories that some texts name.
type places struct {
	sum sum
	n   int
}

// and returns the places of two contexts.
func (p places) and(o places) places {
	switch {
	case p.n == 0:
		return o
	case o.n == 0:
		return p
	}
	return places{p.sum.join(pathSalt, o.sum), p.n + o.n}
}

// maxPlaces is how many of the paths in a text count, and maxSlashes how many
// slashes are looked at for them. The working directory is among the first.
const (
	maxPlaces  = 16
	maxSlashes = 1 << 14
)

// read takes in the absolute paths that a text names, as it stands between its
// quotes: those of two parts and more, since "/help" is a command. They are what
// tells one project from the next when all else is the same, and what stays when
// a client changes the date or the name of the model.
func (p *places) read(raw []byte) {
	for i, n := 0, 0; i < len(raw) && p.n < maxPlaces && n < maxSlashes; n++ {
		n := bytes.IndexByte(raw[i:], '/')
		if n < 0 {
			return
		}
		start := i + n
		i = start + 1
		if !breaks(raw, start) {
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

// breaks reports whether a path may begin at raw[i]: behind white space or an
// opening mark, but not inside a word, a URL or a tag.
func breaks(raw []byte, i int) bool {
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

func inPath(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '/' || c == '.' || c == '-' || c == '_' || c == '~' || c == '@' || c == '+' || c >= 0x80
}
