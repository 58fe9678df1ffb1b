// Package bodies makes the bodies of requests: such as coding agents send, such
// as nobody sends but JSON allows, and such as are built to hurt.
package bodies

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
)

// ID is the session id that bodies carry.
const ID = "3f1c9a52-7f0e-4d3b-9a67-0c2be41d8e55"

// Member is the member that carries it.
const Member = `"conversation_id":"` + ID + `"`

// An agent writes the body of a coding agent's request, with random words.
type agent struct {
	strings.Builder
	r *rand.Rand
}

// word writes a word, prose a text of so many words, and code so many lines of
// source code, the last two as the inside of a JSON string.
func (a *agent) word() {
	for range 2 + a.r.IntN(8) {
		a.WriteByte('a' + byte(a.r.IntN(26)))
	}
}

func (a *agent) prose(words int) {
	for i := range words {
		a.word()
		a.WriteString([]string{" ", " ", " ", " ", ", ", ".\\n"}[min(5, i%7)])
	}
}

func (a *agent) code(lines int) {
	for range lines {
		a.WriteString(strings.Repeat(`\t`, 1+a.r.IntN(3)))
		a.word()
		a.WriteString([]string{` := `, ` = append(`, `.`, `, err := `}[a.r.IntN(4)])
		a.word()
		if a.r.IntN(3) == 0 {
			a.WriteString(`(\"`)
			a.word()
			a.WriteString(`\")`)
		}
		a.WriteString(`\n`)
	}
}

// A Place is where in a body a member is.
type Place string

// Places.
const (
	Head   Place = "head"
	Middle Place = "middle"
	Tail   Place = "tail"
)

// Agent returns a body of about size bytes as coding agents send them to
// Anthropic's API: a system prompt and a conversation of which most is source code
// that tools have read. The seed makes one conversation differ from another. At the
// place is the member: before all others, between the messages and a second list like
// them, or behind all.
func Agent(size int, seed uint64, place Place, member string) []byte {
	a := &agent{r: rand.New(rand.NewPCG(seed, 1))}
	a.WriteString("{")
	if place == Head {
		a.WriteString(member + ",")
	}
	a.begin(&anthropic, size)
	if place == Middle {
		a.turns(&anthropic, size/2)
		a.WriteString("]," + member + `,"history":[{"role":"user","content":"`)
		a.prose(min(40, size/100))
		a.WriteString(anthropic.asked)
	}
	a.turns(&anthropic, size-200)
	a.WriteString(anthropic.end)
	if place == Tail {
		a.WriteString("," + member)
	}
	a.WriteString("}")
	return valid(a.String())
}

// A Style is a way to fill a body.
type Style struct {
	Name string
	// values returns values with commas between them, of about size bytes.
	values func(r *rand.Rand, size int) string
}

// some returns what makes values of random ones of a list.
func some(list ...string) func(*rand.Rand, int) string {
	return func(r *rand.Rand, size int) string {
		var b strings.Builder
		for {
			b.WriteString(list[r.IntN(len(list))])
			if b.Len() >= size {
				return b.String()
			}
			b.WriteByte(',')
		}
	}
}

// Styles are those that parsers may find hard.
var Styles = []Style{
	{"escapes", func(r *rand.Rand, size int) string {
		var list []string
		for range 16 {
			var b strings.Builder
			b.WriteByte('"')
			for range 20 + r.IntN(60) {
				b.WriteString([]string{`\n`, `\t`, `\"`, `\\`, `\u4e2d`, `a`, `to be`, `\/`}[r.IntN(8)])
			}
			list = append(list, b.String()+`"`)
		}
		return some(list...)(r, size)
	}},
	{"quotes", some(`"`+strings.Repeat(`\"`, 400)+`"`, `"`+strings.Repeat(`\\`, 300)+`"`)},
	{"tiny strings", some(`"a"`, `"role"`, `""`, `"user"`, `"to be"`, `"content"`, `"tool_result"`)},
	{"numbers", some("1", "-20", "3.14159", "6.02e23", "1000000", "0", "17")},
	{"literals", some("true", "false", "null")},
	{"small objects", some(`{"id":"a1","type":"text","x":{"on":true,"n":null}}`, `{"a":[],"bc":{}}`, `{}`, `{"x":"y","role":false}`)},
	{"brackets", some("{}", "[]", "[1,2]", "[[1,0],[0,1]]")},
	{"deep nesting", some(strings.Repeat("[", 500)+strings.Repeat("]", 500), strings.Repeat(`{"a":`, 300)+"1"+strings.Repeat("}", 300))},
	{"long strings", some(`"`+strings.Repeat("all work and no play ", 500)+`"`, `"`+strings.Repeat("0123456789abcdef", 2000)+`"`)},
	{"white space", some("\n            {\n                \"role\": \"user\",\n                \"n\": [\n                    1\n                ]\n            }")},
}

// Body returns a body of the style, of about size bytes, with Member in its middle or
// at its tail.
func (s Style) Body(size int, place Place) []byte {
	r := rand.New(rand.NewPCG(7, uint64(len(s.Name))))
	half := func() string { return "[" + s.values(r, size/2) + "]" }
	if place == Middle {
		return valid(`{"data":` + half() + `,` + Member + `,"more":` + half() + `}`)
	}
	return valid(`{"data":` + half() + `,"more":` + half() + `,` + Member + `}`)
}

// A Hostile body is head, then body over and over, then tail.
type Hostile struct{ Name, head, body, tail string }

// Body returns the body at that size, or a little less.
func (h Hostile) Body(size int) []byte {
	return []byte(h.head + strings.Repeat(h.body, max(0, size-len(h.head)-len(h.tail))/len(h.body)) + h.tail)
}

// Hostiles are bodies built to hurt.
var Hostiles = []Hostile{
	{"ones as messages", `{"messages":[1`, `,1`, `]}`},
	{"empty messages", `{"messages":[{}`, `,{}`, `]}`},
	{"messages without text", `{"messages":[{}`, `,{"role":"user","content":[{"type":"tool_result"}]}`, `]}`},
	{"short messages", `{"messages":[{}`, `,{"role":"user","content":"a"}`, `]}`},
	{"short blocks", `{"messages":[{"role":"user","content":["a"`, `,"a"`, `]}]}`},
	{"a million arrays", `{"messages":`, `[`, ``},
	{"arrays 1,000 deep", `{"messages":[0`, "," + strings.Repeat("[", 1000) + strings.Repeat("]", 1000), `]}`},
	{"objects 1,000 deep", `{"messages":[0`, "," + strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000), `]}`},
	{"an image of a million arrays", `{"messages":[{"role":"user","content":[{"type":"image","source":`, `[`, ``},
	{"escaped quotes", `{"messages":[{"role":"user","content":"`, `\"`, `a"}]}`},
	{"backslashes", `{"messages":[{"role":"user","content":"`, `\\`, `a"}]}`},
	{"escaped line feeds", `{"messages":[{"role":"user","content":"`, `\n`, `a"}]}`},
	{"unicode escapes", `{"messages":[{"role":"user","content":"`, `\u4e2d`, `a"}]}`},
	{"escapes that are none", `{"messages":[{"role":"user","content":"`, `\u`, `a"}]}`},
	{"lines of a person", `{"messages":[{"role":"user","content":"`, `\"User: \\:\u000a`, `a"}]}`},
	{"lines of a prompt", `{"prompt":"a`, `\na`, `b"}`},
	{"user_id as bait", `{"metadata":{"user_id":"`, `user_a_account__session_`, `"},"messages":[{"role":"user","content":"a"}]}`},
	{"user_id of escapes", `{"metadata":{"user_id":"`, `\u0061`, `"},"messages":[{"role":"user","content":"a"}]}`},
	{"user_id of braces", `{"metadata":{"user_id":"{`, `{`, `"},"messages":[{"role":"user","content":"a"}]}`},
	{"members of one name", `{"a":1`, `,"a":1`, `,"messages":[{"role":"user","content":"a"}]}`},
	{"escaped names", `{"a":1`, `,"\u0061":1`, `,"messages":[{"role":"user","content":"a"}]}`},
	{"metadata over and over", `{"a":1`, `,"metadata":{"user_id":"u"}`, `,"messages":[{"role":"user","content":"a"}]}`},
	{"ids that are none", `{"a":1`, `,"sessionId":""`, `,"messages":[{"role":"user","content":"a"}]}`},
	{"roles twice", `{"messages":[{}`, `,{"role":"user","role":"user","content":"a"}`, `]}`},
	{"roles last", `{"messages":[{}`, `,{"content":"a","role":"user"}`, `]}`},
	{"system messages", `{"messages":[{}`, `,{"role":"system","content":"a"}`, `]}`},
	{"escaped slashes", `{"messages":[{"role":"user","content":"`, `\/`, `a"}]}`},
	{"ids over and over", `{"a":1`, `,"conversation_id":"{}"`, `}`},
	{"messages over and over", `{"a":1`, `,"messages":["a"]`, `}`},
	{"reminders", `{"messages":[{"role":"user","content":"`, `<system-reminder>x</system-reminder>`, `a"}]}`},
	{"reminders that do not end", `{"messages":[{"role":"user","content":"`, `<system-reminder>`, `a"}]}`},
	{"steps that do not end", `{"messages":["a"`, `,"<user_request>\n1\n</user_request>\n\n<agent_history>\n\n<step>\n"`, `]}`},
	{"less-than signs", `{"messages":[{"role":"user","content":"`, `<`, `a"}]}`},
	{"paths in the prompt", `{"system":"`, ` /a/b`, `","messages":[{"role":"user","content":"a"}]}`},
	{"a string that does not end", `{"messages":[{"role":"user","content":"`, `abcdefgh`, ``},
	{"white space", `{"messages":[`, " \n\t\r", `{"role":"user","content":"a"}]}`},
	{"floats", `{"messages":[1`, `,-1.5e+3`, `]}`},
}

// valid panics unless the body is well-formed JSON: for those that are made here,
// anything else is a mistake in this package.
func valid(body string) []byte {
	if !json.Valid([]byte(body)) {
		panic("bodies: not well-formed: " + body[:min(len(body), 80)])
	}
	return []byte(body)
}
