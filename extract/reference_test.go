package extract_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// A document is a JSON object as package encoding/json sees it: all members, in order.
type document []documentMember

type documentMember struct {
	name  string
	value any // a document, a string or something else
}

// at returns what stands behind the last member of each name on the way, or nil.
func (d document) at(path ...string) (value any) {
	value = d
	for _, name := range path {
		members, _ := value.(document)
		value = nil
		for _, m := range members {
			if slices.Contains(strings.Split(name, "|"), m.name) {
				value = m.value
			}
		}
	}
	return value
}

var (
	stringsIn = regexp.MustCompile(`(?s)"(?:\\.|[^"\\])*"`)
	escapesIn = regexp.MustCompile(`\\u[0-9a-fA-F]{4}|\\["\\/bfnrt]|\\|[\x00-\x1f]`)
)

// readReference returns the object that is all of the text, if it is one. What JSON does not
// allow within strings is taken as it is.
func readReference(text []byte) (document, bool) {
	text = stringsIn.ReplaceAllFunc(text, func(s []byte) []byte {
		return escapesIn.ReplaceAllFunc(s, func(e []byte) []byte {
			if len(e) == 1 {
				e = []byte(strings.Trim(quote(string(e)), `"`))
			}
			return e
		})
	})
	if !json.Valid(text) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // any number will do, however large
	doc, ok := readValue(d).(document)
	return doc, ok
}

func readValue(d *json.Decoder) any {
	token, _ := d.Token()
	switch token {
	case json.Delim('{'):
		doc := document{}
		for d.More() {
			name, _ := d.Token()
			doc = append(doc, documentMember{name.(string), readValue(d)})
		}
		d.Token()
		return doc
	case json.Delim('['):
		for d.More() {
			readValue(d)
		}
		d.Token()
	}
	return token
}

// A want is what a reader that reads everything first finds.
type want func(root document) (source, id string, ok bool)

// firstOf finds the first id at one of the paths.
func firstOf(list []pathTo) want {
	return func(root document) (source, id string, ok bool) {
		for _, p := range list {
			text, _ := root.at(p.path...).(string)
			if id, ok := extract.ID(text); ok {
				return p.source, id, true
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
func comma(root document) string {
	if len(root) == 0 {
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
