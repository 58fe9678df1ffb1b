package bodies

import (
	"fmt"
	"math/rand/v2"
)

// A Shape is a form that conversations of others than coding agents have: there, most of the
// text is a person's, or an application's, and has to be read.
type Shape struct {
	Name string
	// body writes about so many bytes of a body.
	body func(a *agent, size int)
}

// Body returns a body of the shape, of about size bytes. The seed makes one differ from
// another.
func (s Shape) Body(size int, seed uint64) []byte {
	a := &agent{r: rand.New(rand.NewPCG(seed, 2))}
	s.body(a, size)
	return valid(a.String())
}

// Shapes are those that many applications have.
var Shapes = []Shape{
	{"a chat", chat(40, 150)},
	{"a chat of a few words", chat(3, 5)},
	{"what was looked up", func(a *agent, size int) {
		a.WriteString(`{"model":"m-1","messages":[{"role":"user","content":"Use this to answer.\n\n`)
		for a.Len() < size {
			a.prose(60)
			a.WriteString(`\n\n`)
		}
		a.WriteString(`Question: And now?\nAnswer:"}]}`)
	}},
	{"a system prompt", func(a *agent, size int) {
		a.WriteString(`{"model":"m-1","messages":[{"role":"system","content":"`)
		for a.Len() < size {
			a.prose(20)
			a.WriteString(`\n- See /home/anna/`)
			a.word()
			a.WriteString(`.md, and then\n`)
		}
		a.WriteString(`"},{"role":"user","content":"And now?"}]}`)
	}},
	{"a page, written by Go", func(a *agent, size int) {
		a.WriteString(`{"model":"m-1","messages":[{"role":"user","content":"What is wrong with this?\n`)
		for a.Len() < size {
			a.WriteString(`  \u003cdiv class=\"`)
			a.word()
			a.WriteString(`\"\u003e`)
			a.prose(5)
			a.WriteString(`\u003c/div\u003e\n`)
		}
		a.WriteString(`\u003c/html\u003e"}]}`)
	}},
	{"code, written by PHP", func(a *agent, size int) {
		a.WriteString(`{"model":"m-1","messages":[{"role":"user","content":"What is wrong with this?\n`)
		for a.Len() < size {
			a.code(3)
			a.WriteString(`\t\/\/ `)
			a.prose(8)
			a.WriteString(`\n`)
		}
		a.WriteString(`"}]}`)
	}},
	{"Chinese, as escapes", func(a *agent, size int) {
		a.WriteString(`{"model":"m-1","messages":[{"role":"user","content":"`)
		for i := 0; a.Len() < size; i++ {
			fmt.Fprintf(a, `\u%04x`, 0x4e00+a.r.IntN(0x5000))
			if i%40 == 39 {
				a.WriteString(`\u3002\n`)
			}
		}
		a.WriteString(`"}]}`)
	}},
	{"JSON in a text", func(a *agent, size int) {
		a.WriteString(`{"model":"m-1","messages":[{"role":"user","content":"Sum this up:\n[\n`)
		for a.Len() < size {
			fmt.Fprintf(a, `  {\"id\": %d, \"name\": \"`, a.r.IntN(1e6))
			a.prose(4)
			a.WriteString(`\", \"tags\": [\"`)
			a.word()
			a.WriteString(`\"]},\n`)
		}
		a.WriteString(`  {}\n]"}]}`)
	}},
	{"tools", func(a *agent, size int) {
		a.WriteString(`{"model":"m-1","messages":[{"role":"user","content":"And now?"}],"tools":[{}`)
		for a.Len() < size {
			a.WriteString(`,{"type":"function","function":{"name":"`)
			a.word()
			a.WriteString(`","description":"`)
			a.prose(25)
			a.WriteString(`","parameters":{"type":"object","properties":{"path":{"type":"string"},"lines":{"type":"array","items":{"type":"integer"}}},"required":["path"]}}}`)
		}
		a.WriteString(`]}`)
	}},
}

// chat returns what writes a chat, with so many words in a question and in an answer.
func chat(asked, answered int) func(a *agent, size int) {
	return func(a *agent, size int) {
		a.WriteString(`{"model":"m-1","messages":[{"role":"system","content":"Be kind."}`)
		for a.Len() < size {
			a.WriteString(`,{"role":"user","content":"`)
			a.prose(asked)
			a.WriteString(`"},{"role":"assistant","content":"`)
			a.prose(answered)
			a.WriteString(`"}`)
		}
		a.WriteString(`,{"role":"user","content":"And now?"}]}`)
	}
}
