package extract_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// A node is a JSON value as the reference reader sees it: a plain recursive
// descent over all of the text that keeps everything.
type node struct {
	members []namedNode // of an object
	text    string      // of a string
	kind    byte        // its first byte
}

type namedNode struct {
	name  string
	value node
}

// at returns the value behind the last member of each name on the way.
func (n node) at(path ...string) (node, bool) {
	for _, name := range path {
		found := false
		for _, m := range n.members {
			if slices.Contains(strings.Split(name, "|"), m.name) {
				n, found = m.value, true // of the members of the n before: range has them
			}
		}
		if !found {
			return node{}, false
		}
	}
	return n, true
}

// reference reads a JSON text, or panics.
type reference struct{ rest string }

// readReference returns the object that is all of the text, if it is one.
func readReference(text []byte) (root node, ok bool) {
	defer func() {
		if recover() != nil {
			root, ok = node{}, false
		}
	}()
	r := reference{string(text)}
	root = r.value()
	r.space()
	return root, r.rest == "" && root.kind == '{'
}

func (r *reference) space() { r.rest = strings.TrimLeft(r.rest, " \t\r\n") }

// next goes past white space and what stands there, if it does.
func (r *reference) next(s string) bool {
	r.space()
	rest, ok := strings.CutPrefix(r.rest, s)
	if ok {
		r.rest = rest
	}
	return ok
}

func (r *reference) must(s string) {
	if !r.next(s) {
		panic("no " + s)
	}
}

func (r *reference) value() (n node) {
	r.space()
	switch n.kind = r.rest[0]; n.kind {
	case '{':
		r.must("{")
		for !r.next("}") {
			if n.members != nil {
				r.must(",")
			}
			name := r.str()
			r.must(":")
			n.members = append(n.members, namedNode{name, r.value()})
		}
	case '[':
		r.must("[")
		for first := true; !r.next("]"); first = false {
			if !first {
				r.must(",")
			}
			r.value()
		}
	case '"':
		n.text = r.str()
	case 't':
		r.must("true")
	case 'f':
		r.must("false")
	case 'n':
		r.must("null")
	default:
		end := strings.IndexFunc(r.rest, func(c rune) bool { return !strings.ContainsRune("+-.0123456789eE", c) })
		if end < 0 {
			end = len(r.rest)
		}
		number := r.rest[:end]
		digits := strings.TrimPrefix(number, "-")
		if _, err := strconv.ParseFloat(number, 64); err != nil && !strings.Contains(err.Error(), "range") ||
			digits[0] < '0' || digits[0] > '9' || // ParseFloat takes +1 and .5
			len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' || // and 01
			strings.Contains(number, ".e") || strings.Contains(number, ".E") || strings.HasSuffix(number, ".") { // and 1.
			panic("no number")
		}
		r.rest = r.rest[end:]
	}
	return n
}

func (r *reference) str() string {
	r.must(`"`)
	var b []byte
	for r.rest[0] != '"' {
		if r.rest[0] != '\\' {
			b, r.rest = append(b, r.rest[0]), r.rest[1:]
			continue
		}
		if i := strings.IndexByte(`"\/bfnrt`, r.rest[1]); i >= 0 {
			b, r.rest = append(b, "\"\\/\b\f\n\r\t"[i]), r.rest[2:]
		} else if c, ok := hex(r.rest); ok {
			r.rest = r.rest[6:]
			if utf16.IsSurrogate(c) {
				low, _ := hex(r.rest)
				if c = utf16.DecodeRune(c, low); c != '\ufffd' {
					r.rest = r.rest[6:]
				}
			}
			b = append(b, string(c)...)
		} else { // no escape, and taken as it is
			b, r.rest = append(b, r.rest[:2]...), r.rest[2:]
		}
	}
	r.rest = r.rest[1:]
	return string(b)
}

func hex(s string) (rune, bool) {
	if len(s) < 6 || s[:2] != `\u` {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:6], 16, 16)
	return rune(n), err == nil
}

// A want is what a reader that reads everything first finds.
type want func(root node) (source, id string, ok bool)

// firstOf finds the first id at one of the paths.
func firstOf(list []pathTo) want {
	return func(root node) (source, id string, ok bool) {
		for _, p := range list {
			if n, ok := root.at(p.path...); ok && n.kind == '"' && len(n.text) < 10<<10 {
				if id, ok := extract.ID(n.text); ok {
					return p.source, id, true
				}
			}
		}
		return "", "", false
	}
}

type pathTo struct {
	source string
	path   []string
}

func referencePaths() (known, free []pathTo) {
	for _, f := range bodyIDs {
		p := pathTo{f.source, []string{f.outer}}
		if f.inner != "" {
			p.path = append(p.path, f.inner)
			if f.outer == "metadata" {
				switch f.inner {
				case "conversation_id", "thread_id", "chat_id": // and the other spelling
					p.path[1] += "|" + strings.TrimSuffix(f.inner, "_id") + "Id"
				}
			}
		}
		known = append(known, p)
		if f.outer == "conversation" { // an id, or an object that has it
			known = append(known, pathTo{f.source, []string{f.outer, "id"}})
		}
	}
	for _, path := range []string{"chat", "a.b", "metadata.thread", "session_id"} {
		free = append(free, pathTo{"body:" + path, strings.Split(path, ".")})
	}
	return known, free
}

// FuzzBodyIDs: small bodies give the answer of the reference reader, malformed or
// not. So do larger ones that are well-formed, whatever was asked for before.
func FuzzBodyIDs(f *testing.F) {
	for _, s := range []string{
		`{"conversation_id":"c"}`, `{"session_id":"a","session_id":1}`, `{"session\u005fid":"\ud800"}`, `{"a":{"b":"c","b":"d"},"a":{}}`, `{"a":{"b":"c"}} `,
		`{"metadata":{"session_id":"s"},"metadata":null}`, `{"metadata":{"thread":"s"},"chat":"\u0061\/"}`, `{"conversation":{"id":"x"},"conversation":"y"}`,
		`{"chat":"a","chat":"b"}`, `{"n":-1.5e+3,"t":true,"f":false,"z":null,"chat":"\x"}`, `{"n":01,"chat":"c"}`, `{"n":1.,"chat":"c"}`, `{"n":1e,"chat":"c"}`, `{"n":-,"chat":"c"}`,
		`{"request":{"session_id":"s","contents":[],"tools":[{}]}}`, `{"chat":"c","x":[1,]}`, `{"chat":"c","x":{"y":}}`, `{,"chat":"c"}`, `,"chat":"c"}`, `{"chat":"c"`, `{"x":"\"}`,
		`{"a":"` + strings.Repeat("x", 300) + `","prompt_cache_key":"k"}`, "{\"chat\":\"\xff\x00\"}", `{"":{"":""},"chat":"\\"}`,
		`{"conversation":{"\u0069d":"x"},"":""}`, `{"metadata":{"thread_id":"a","threadId":"b"}}`,
	} {
		f.Add([]byte(s))
	}
	for _, b := range seeds(f) {
		f.Add(b)
	}
	known, free := referencePaths()
	readers := []struct {
		extract.Extractor
		want want
	}{
		{extract.BodyIDs(), firstOf(known)},
		{extract.Body("chat", "a.b", "metadata.thread", "session_id"), firstOf(free)},
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > 3<<10 || bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) > 900 {
			t.Skip("too long or too deep")
		}
		root, ok := readReference(body)
		small := &extract.Request{Body: body}
		requests := []*extract.Request{small}
		if ok {
			inner := bytes.TrimSpace(body)[1:]
			for _, n := range []int{8 << 10, 24 << 10} { // read whole, with and without the messages
				requests = append(requests, &extract.Request{Body: fmt.Appendf(nil, `{"pad":"%s"%s%s`, strings.Repeat("x", n), comma(root), inner)})
			}
			whole := readWhole(fmt.Sprintf(`{"pad":"%s"%s%s`, strings.Repeat("x", wholly), comma(root), inner))
			requests = append(requests, whole)
		}
		for i, r := range requests {
			for _, reader := range readers {
				source, id, found := "", "", false
				if ok {
					source, id, found = reader.want(root)
				}
				s, got := reader.Extract(r)
				require.Equal(t, found, got, "%d: %q", i, body)
				require.Equal(t, source, s.Source, "%d: %q", i, body)
				require.Equal(t, id, s.ID, "%d: %q", i, body)
			}
		}
	})
}

// comma returns what stands between a first member and those of an object.
func comma(root node) string {
	if len(root.members) == 0 {
		return ""
	}
	return ","
}

// The same over bodies that fuzzing would not come to: of many members, of names
// that are known and not, with escapes and without, and some of them twice.
func TestBodyIDsLikeTheReference(t *testing.T) {
	long(t)
	t.Parallel()
	known, free := referencePaths()
	random := rand.New(rand.NewPCG(9, 9))
	names := []string{"chat", "a", "b", "metadata", "request", "thread", "messages", "input", "contents", "tools", "system", "m\u00e9", `q"`}
	for _, p := range known {
		names = append(names, p.path...)
	}
	write := func(s string) string {
		if random.IntN(8) == 0 {
			s = quote(s)
			return strings.Replace(s, s[1:2], fmt.Sprintf(`\u%04x`, s[1]), 1)
		}
		return quote(s)
	}
	var value func(depth int) string
	members := func(n, depth int) string {
		var list []string
		for range n {
			name := names[random.IntN(len(names))]
			if random.IntN(3) == 0 {
				name = fmt.Sprint("other", random.IntN(100))
			}
			if strings.HasPrefix(name, "mé") || strings.HasPrefix(name, `q`) {
				list = append(list, quote(name)+":"+value(depth-1))
			} else {
				list = append(list, write(name)+":"+value(depth-1))
			}
		}
		return "{" + strings.Join(list, []string{",", " ,\n"}[random.IntN(2)]) + "}"
	}
	value = func(depth int) string {
		switch k := random.IntN(8); {
		case depth > 0 && k < 3:
			return members(random.IntN(4), depth)
		case k == 3:
			return []string{"null", "true", "12", "-0.5e3", "[]", `[{"chat":"no"}]`, `""`}[random.IntN(7)]
		}
		return write(fmt.Sprint("id-", random.IntN(1000)))
	}
	found := 0
	for range 2000 {
		body := []byte(members(random.IntN([]int{4, 20, 120}[random.IntN(3)]), 2))
		root, ok := readReference(body)
		require.True(t, ok, "%s", body)
		r := &extract.Request{Body: body}
		for _, reader := range []struct {
			extract.Extractor
			want want
		}{{extract.Body("chat", "a.b", "metadata.thread", "session_id"), firstOf(free)}, {extract.BodyIDs(), firstOf(known)}} {
			source, id, ok := reader.want(root)
			s, got := reader.Extract(r)
			require.Equal(t, ok, got, "%s", body)
			require.Equal(t, source, s.Source, "%s", body)
			require.Equal(t, id, s.ID, "%s", body)
			if ok {
				found++
			}
		}
	}
	require.Greater(t, found, 1000)
}
