package jsonscan_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// source is the source code of the package, by lines, as they stand in a JSON string.
var source = func() (lines []string) {
	for _, name := range []string{"jsonscan.go", "skip.go", "skim.go", "text.go", "search.go", "block.go", "tail.go", "bench_test.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			panic(err)
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			quoted, _ := json.Marshal(line)
			lines = append(lines, string(quoted[1:len(quoted)-1]))
		}
	}
	return lines
}()

// agentBody returns a request of at least size bytes as a coding agent sends
// it: prose, source code with its line breaks, tabs and quotes escaped, tool
// calls with small arguments, and the results of tools.
func agentBody(size int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	word := func() {
		for range 2 + r.IntN(8) {
			b.WriteByte('a' + byte(r.IntN(26)))
		}
	}
	prose := func(words int) {
		for range words {
			word()
			b.WriteByte(' ')
		}
	}
	code := func(lines int) {
		from := r.IntN(len(source))
		for i := range lines {
			n := (from + i) % len(source)
			b.WriteString(strconv.Itoa(n+1) + `\t` + source[n] + `\n`)
		}
	}
	b.WriteString(`{"model":"m-1","max_tokens":32000,"stream":true,"system":[{"type":"text","text":"`)
	prose(600)
	b.WriteString(`","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":"`)
	prose(40)
	b.WriteString(`"}`)
	for id := 0; b.Len() < size; id++ {
		b.WriteString(`,{"role":"assistant","content":[{"type":"text","text":"`)
		prose(20 + r.IntN(60))
		b.WriteString(`"},{"type":"tool_use","id":"toolu_` + strconv.Itoa(id) + `","name":"Read","input":{"file_path":"/home/user/`)
		word()
		b.WriteString(`.go","offset":` + strconv.Itoa(r.IntN(1000)) + `,"limit":200}}]},`)
		b.WriteString(`{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_` + strconv.Itoa(id) + `","content":"`)
		code(20 + r.IntN(100))
		b.WriteString(`"}]}`)
	}
	b.WriteString(`],"metadata":{"user_id":"user_0123456789abcdef"}}`)
	return []byte(b.String())
}

// arrayOf returns an array of at least size bytes with the elements in random
// order, so that the processor cannot learn it by heart.
func arrayOf(size int, elements ...string) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	b := append(make([]byte, 0, size+64), '[')
	for i := 0; len(b) < size; i++ {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, elements[r.IntN(len(elements))]...)
	}
	return append(b, ']')
}

// nested returns an array of at least size bytes with values that nest to the
// given depth.
func nested(size, depth int) []byte {
	return arrayOf(size, strings.Repeat("[", depth-1)+strings.Repeat("]", depth-1))
}

// quoted returns a text as a JSON string.
func quoted(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}

// bodies are such as agents send and such as a reader may find hard.
var bodies = []struct {
	name string
	make func(size int) []byte
}{
	{"agent", agentBody},
	{"escapes", func(n int) []byte { return arrayOf(n, `"`+strings.Repeat(`say \"hi\"\n\tand \\ go `, 40)+`"`) }},
	{"quotes", func(n int) []byte { return arrayOf(n, `"`+strings.Repeat(`\"`, 400)+`"`) }},
	{"quoted-words", func(n int) []byte {
		return arrayOf(n, `"he said \"no\""`, `"{\"path\":\"a.go\"}"`, `"\"\""`, `"C:\\dir\\"`)
	}},
	{"nested-json", func(n int) []byte {
		inner := `{"path":"/home/a/b.go","text":` + quoted("if x == \"y\" {\n\treturn `\\`\n}\n") + `}`
		return arrayOf(n, quoted(inner), quoted(`{"arguments":`+quoted(inner)+`}`))
	}},
	{"tiny", func(n int) []byte {
		return arrayOf(n, `"a"`, `"role"`, `""`, `"user"`, `"to be"`, `"content"`, `"tool_result"`)
	}},
	{"lines", func(n int) []byte {
		return arrayOf(n, `"`+strings.Repeat("a line ", 5)+`"`, `"`+strings.Repeat("of text ", 9)+`"`, `"and one that is not so long"`)
	}},
	{"base64", func(n int) []byte { return arrayOf(n, `"`+strings.Repeat("iVBORw0KGgoAAAANSUhEUgAA", 400)+`"`) }},
	{"cjk", func(n int) []byte {
		return arrayOf(n, `"`+strings.Repeat("他说：\\\"你好\\\"。", 20)+`"`, `"`+strings.Repeat("日本語の文章", 30)+`"`, `"短い"`)
	}},
	{"objects", func(n int) []byte {
		return arrayOf(n, `{"id":"a1","type":"text","x":{"on":true,"n":null}}`, `{"a":[],"bc":{}}`, `{}`, `{"x":"y","role":false}`)
	}},
	{"pretty", func(n int) []byte {
		return arrayOf(n, "\n    {\n      \"role\": \"user\",\n      \"ids\": [\n        1,\n        2\n      ],\n      \"text\": \"hello there\"\n    }")
	}},
	{"white-space", func(n int) []byte {
		return arrayOf(n, "\n            {\n                \"role\": \"user\",\n                \"n\": [\n                    1\n                ]\n            }")
	}},
	{"numbers", func(n int) []byte { return arrayOf(n, "1", "-20", "3.14159", "6.02e23", "1000000") }},
	{"literals", func(n int) []byte { return arrayOf(n, "true", "false", "null") }},
	{"brackets", func(n int) []byte { return arrayOf(n, "{}", "[]", "[1,2]", "[[1,0],[0,1]]") }},
	{"nesting", func(n int) []byte { return nested(n, jsonscan.MaxDepth) }},
	{"deep-objects", func(n int) []byte {
		return arrayOf(n, strings.Repeat(`{"a":`, 300)+"1"+strings.Repeat("}", 300))
	}},
}

func BenchmarkSkip(b *testing.B) {
	for _, body := range bodies {
		data := body.make(256 << 10)
		for _, by := range []struct {
			name string
			skip func(*jsonscan.Cursor) []byte
		}{{"skip", (*jsonscan.Cursor).Skip}, {"skim", (*jsonscan.Cursor).Skim}} {
			b.Run("body="+body.name+"/by="+by.name, func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					if c := jsonscan.New(data); by.skip(&c) == nil {
						b.Fatal("not skipped")
					}
				}
			})
		}
	}
}

// BenchmarkMember finds a member behind a value of each style.
func BenchmarkMember(b *testing.B) {
	for _, body := range bodies {
		data := append(append([]byte(`{"messages":`), body.make(256<<10)...), `,"session_id":"s"}`...)
		b.Run("body="+body.name+"/by=skim", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				c := jsonscan.New(data)
				last := ""
				for ok := c.Object(); ok; {
					var name []byte
					if name, ok = c.Key(); ok {
						c.Skim()
						last = string(name)
					}
				}
				if !c.End() || last != "session_id" {
					b.Fatal("not found")
				}
			}
		})
		b.Run("body="+body.name+"/by=tail", func(b *testing.B) {
			for b.Loop() {
				t := jsonscan.NewTail(data, 1<<10)
				if _, value, ok := t.Member(); !ok || string(value) != `"s"` {
					b.Fatal("not found")
				}
			}
		})
	}
}

// BenchmarkBaseline is what the standard library takes to check the same.
func BenchmarkBaseline(b *testing.B) {
	for _, body := range bodies {
		data := body.make(256 << 10)
		b.Run("by=encoding-json/body="+body.name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if !json.Valid(data) {
					b.Fatal("not valid")
				}
			}
		})
	}
}

// BenchmarkWalk reads the members of the body, as extractors do.
func BenchmarkWalk(b *testing.B) {
	data := agentBody(256 << 10)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		c := jsonscan.New(data)
		c.Object()
		for {
			if _, ok := c.Key(); !ok {
				break
			}
			c.Skim()
		}
		if !c.End() {
			b.Fatal("not well-formed")
		}
	}
}

// BenchmarkHostile shows that time is linear in size: ns/byte is the same for
// every size.
func BenchmarkHostile(b *testing.B) {
	for _, in := range hostile {
		for _, size := range []int{64 << 10, 1 << 20, 16 << 20} {
			b.Run(fmt.Sprintf("input=%s/size=%dK", strings.ReplaceAll(in.name, " ", "-"), size>>10), func(b *testing.B) {
				data := build(in.head, in.body, in.tail, size)
				for b.Loop() {
					c := jsonscan.New(data)
					c.Skip()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(data)), "ns/byte")
			})
		}
	}
}

func BenchmarkAppendText(b *testing.B) {
	for _, to := range []struct {
		name     string
		toAppend func(dst, raw []byte) []byte
	}{{"text", jsonscan.AppendText}, {"plain", jsonscan.AppendPlain}} {
		for _, body := range []struct{ name, text string }{
			{"words", strings.Repeat("just some words ", 1000)},
			{"code", strings.Repeat(`\tif x == \"y\" { return nil }\n`, 500)},
			{"page", strings.Repeat(`  \u003cdiv class=\"row\"\u003ewords\u003c\/div\u003e\n`, 300)},
			{"nested", strings.Repeat(`{\"a\":\"\\u003c\/p\\u003e\"}`, 500)},
			{"unicode", strings.Repeat(`\u4f60\u597d\ud83d\ude00`, 700)},
		} {
			raw := []byte(body.text)
			b.Run("to="+to.name+"/of="+body.name, func(b *testing.B) {
				b.SetBytes(int64(len(raw)))
				b.ReportAllocs()
				dst := make([]byte, 0, len(raw))
				for b.Loop() {
					dst = to.toAppend(dst[:0], raw)
				}
			})
		}
	}
}
