package extract_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode/utf16"
)

// A talk is a conversation as no client sends it.
type talk struct {
	system string
	said   []said
}

// said is one message: by a "user", a "model", a "call" of a tool or its
// "result".
type said struct {
	who   string
	texts []string
	image string
}

func user(texts ...string) said    { return said{who: "user", texts: texts} }
func look(image, text string) said { return said{who: "user", texts: []string{text}, image: image} }
func model(text string) said       { return said{who: "model", texts: []string{text}} }
func call(input string) said       { return said{who: "call", texts: []string{input}} }
func result(output string) said    { return said{who: "result", texts: []string{output}} }
func (t talk) with(more ...said) talk {
	t.said = append(t.said[:len(t.said):len(t.said)], more...)
	return t
}
func (m said) text() string { return strings.Join(m.texts, "\n") }

// wireFormats are the forms in which a talk goes over the wire, each said as one message.
var wireFormats = []struct {
	name   string
	render func(t talk, s style) obj
	blocks bool // a message can have several texts
	images bool
}{
	{"OpenAI chat", chatFormat, true, true},
	{"Claude", claudeFormat, true, true},
	{"Gemini", geminiFormat, true, true},
	{"Code Assist", codeAssistFormat, true, true},
	{"Responses", responsesFormat, true, true},
	{"Bedrock Converse", converseFormat, true, true},
	{"Ollama chat", ollamaFormat, false, true},
	{"Cohere v2", cohereFormat, true, true},
	{"Interactions", interactionsFormat, true, true},
}

// obj is a JSON object with its members in order.
type obj []member

type member struct {
	name  string
	value any
}

type raw string // JSON

// A style is in what way a request is written, of those that change nothing.
// The zero style is the plainest.
type style struct{ random *rand.Rand }

func (s style) flip() bool { return s.random != nil && s.random.IntN(2) == 0 }

func (s style) number() int {
	if s.random == nil {
		return 1
	}
	return s.random.IntN(1000)
}

// some returns v or nothing.
func (s style) some(name string, v any) obj {
	if s.flip() {
		return obj{{name, v}}
	}
	return nil
}

var ephemeral = obj{{"type", "ephemeral"}}

// block returns a block of content with a marker of the cache or without.
func (s style) block(o obj) obj { return append(o, s.some("cache_control", ephemeral)...) }

// content returns the content of a message of a person: a string if it can, or
// blocks.
func (s style) content(m said, kind string, image obj) any {
	if len(m.texts) == 1 && m.image == "" && !s.flip() {
		return m.texts[0]
	}
	var blocks []any
	if m.image != "" {
		blocks = append(blocks, s.block(image))
	}
	for _, text := range m.texts {
		blocks = append(blocks, s.block(obj{{"type", kind}, {"text", text}}))
	}
	return blocks
}

// answer is what a model said, as it may be altered on its way.
func (s style) answer(text string) string {
	if s.flip() {
		return text + " (edited)"
	}
	return text
}

// arguments are the input of a tool, as text.
func (s style) arguments(input string) string {
	if s.flip() {
		return fmt.Sprintf(`{ "path" : %s }`, quote(input))
	}
	return fmt.Sprintf(`{"path":%s}`, quote(input))
}

// tools are those that the client has so far.
func (s style) tools() obj {
	var tools []any
	for i := range s.number() % 4 {
		tools = append(tools, obj{{"type", "function"}, {"name", fmt.Sprint("tool-", i)}})
	}
	return append(s.some("tools", tools), s.some("temperature", raw("1.0"))...)
}

func (s style) toolID() string { return fmt.Sprint("call_", s.number()) }

func chatFormat(t talk, s style) obj {
	var messages []any
	if t.system != "" {
		role := "system"
		if s.flip() {
			role = "developer"
		}
		messages = append(messages, obj{{"role", role}, {"content", s.content(user(t.system), "text", nil)}})
	}
	id := s.toolID()
	for _, m := range t.said {
		switch m.who {
		case "user":
			messages = append(messages, obj{{"role", "user"}, {"content", s.content(m, "text", obj{{"type", "image_url"}, {"image_url", obj{{"url", m.image}}}})}})
		case "model":
			messages = append(messages, append(obj{{"role", "assistant"}, {"content", s.answer(m.text())}}, s.some("reasoning_content", "hm")...))
		case "call":
			o := obj{{"role", "assistant"}, {"tool_calls", []any{obj{{"id", id}, {"type", "function"}, {"function", obj{{"name", "read"}, {"arguments", s.arguments(m.text())}}}}}}}
			if s.flip() {
				o = append(o, member{"content", nil})
			}
			messages = append(messages, o)
		case "result":
			messages = append(messages, obj{{"role", "tool"}, {"tool_call_id", id}, {"content", m.text()}})
		}
	}
	return append(obj{{"model", "m"}, {"messages", messages}}, s.tools()...)
}

func claudeFormat(t talk, s style) obj {
	o := obj{{"model", "m"}}
	billing := fmt.Sprintf("x-anthropic-billing-header: cc_version=2.1.%d; cch=%05x;", s.number(), s.number())
	switch {
	case t.system == "":
	case s.flip():
		var blocks []any
		if s.flip() {
			blocks = append(blocks, obj{{"type", "text"}, {"text", billing}})
		}
		o = append(o, member{"system", append(blocks, s.block(obj{{"type", "text"}, {"text", t.system}}))})
	case s.flip():
		o = append(o, member{"system", billing + "\n" + t.system})
	default:
		o = append(o, member{"system", t.system})
	}
	var messages []any
	id := s.toolID()
	for _, m := range t.said {
		var blocks []any
		if s.flip() {
			blocks = append(blocks, obj{{"type", "thinking"}, {"thinking", "hm"}, {"signature", fmt.Sprint(s.number())}})
		}
		switch m.who {
		case "user":
			source := obj{{"type", "base64"}, {"media_type", "image/png"}, {"data", m.image}}
			messages = append(messages, obj{{"role", "user"}, {"content", s.content(m, "text", obj{{"type", "image"}, {"source", source}})}})
		case "model":
			blocks = append(blocks, s.block(obj{{"type", "text"}, {"text", s.answer(m.text())}}))
			messages = append(messages, obj{{"role", "assistant"}, {"content", blocks}})
		case "call":
			blocks = append(blocks, obj{{"type", "tool_use"}, {"id", id}, {"name", "Read"}, {"input", obj{{"path", m.text()}}}})
			messages = append(messages, obj{{"role", "assistant"}, {"content", blocks}})
		case "result":
			var output any = m.text()
			if s.flip() {
				output = []any{obj{{"type", "text"}, {"text", m.text()}}}
			}
			messages = append(messages, obj{{"role", "user"}, {"content", []any{s.block(obj{{"type", "tool_result"}, {"tool_use_id", id}, {"content", output}})}}})
		}
	}
	return append(append(o, member{"messages", messages}), s.tools()...)
}

func geminiFormat(t talk, s style) obj {
	part := func(text string) obj {
		return append(obj{{"text", text}}, s.some("thoughtSignature", fmt.Sprint(s.number()))...)
	}
	content := func(role string, parts ...any) obj {
		o := obj{{"parts", parts}}
		if len(parts) == 1 && s.flip() {
			o = obj{{"parts", parts[0]}}
		}
		if role != "user" || !s.flip() {
			o = append(o, member{"role", role})
		}
		return o
	}
	var o obj
	if t.system != "" {
		name := "systemInstruction"
		if s.flip() {
			name = "system_instruction"
		}
		if s.flip() {
			o = append(o, member{name, t.system})
		} else {
			o = append(o, member{name, content("user", part(t.system))})
		}
	}
	var contents []any
	for _, m := range t.said {
		switch m.who {
		case "user":
			var parts []any
			if m.image != "" {
				data, kind := "inlineData", "mimeType"
				if s.flip() {
					data, kind = "inline_data", "mime_type"
				}
				image := obj{{data, obj{{kind, "image/png"}, {"data", m.image}}}}
				parts = append(parts, append(image, s.some("thoughtSignature", fmt.Sprint(s.number()))...))
			}
			for _, text := range m.texts {
				parts = append(parts, part(text))
			}
			if len(t.said) == 1 && len(parts) == 1 && s.flip() {
				return append(o, member{"contents", m.texts[0]})
			}
			contents = append(contents, content("user", parts...))
		case "model":
			parts := []any{part(s.answer(m.text()))}
			if s.flip() {
				parts = append([]any{obj{{"thought", true}, {"text", "hm"}}}, parts...)
			}
			contents = append(contents, content("model", parts...))
		case "call":
			name := "functionCall"
			if s.flip() {
				name = "function_call"
			}
			contents = append(contents, content("model", obj{{name, obj{{"name", "read"}, {"args", obj{{"path", m.text()}}}}}}))
		case "result":
			role, name := "user", "functionResponse"
			if s.flip() {
				role, name = "function", "function_response"
			}
			contents = append(contents, content(role, obj{{name, obj{{"name", "read"}, {"response", obj{{"output", m.text()}}}}}}))
		}
	}
	if len(contents) == 1 && s.flip() {
		return append(o, member{"contents", contents[0]})
	}
	return append(append(o, member{"contents", contents}), s.tools()...)
}

func codeAssistFormat(t talk, s style) obj {
	return obj{{"model", "m"}, {"project", "p"}, {"user_prompt_id", fmt.Sprint(uuid, "########", s.number())}, {"request", geminiFormat(t, s)}}
}

func responsesFormat(t talk, s style) obj {
	item := func(o obj) obj {
		if s.flip() {
			o = append(o, member{"type", "message"})
		}
		return append(o, s.some("id", fmt.Sprint("msg_", s.number()))...)
	}
	o := obj{{"model", "m"}, {"store", false}}
	if t.system != "" {
		o = append(o, member{"instructions", t.system})
	}
	var items []any
	id := s.toolID()
	for _, m := range t.said {
		if s.flip() && m.who != "user" && m.who != "result" {
			items = append(items, obj{{"type", "reasoning"}, {"summary", []any{}}, {"encrypted_content", fmt.Sprint(s.number())}})
		}
		switch m.who {
		case "user":
			if len(t.said) == 1 && len(m.texts) == 1 && m.image == "" && s.flip() {
				return append(append(o, member{"input", m.texts[0]}), s.tools()...)
			}
			items = append(items, item(obj{{"role", "user"}, {"content", s.content(m, "input_text", obj{{"type", "input_image"}, {"image_url", m.image}})}}))
		case "model":
			items = append(items, item(obj{{"role", "assistant"}, {"content", []any{obj{{"type", "output_text"}, {"text", s.answer(m.text())}}}}}))
		case "call":
			items = append(items, obj{{"type", "function_call"}, {"call_id", id}, {"name", "read"}, {"arguments", s.arguments(m.text())}})
		case "result":
			items = append(items, obj{{"type", "function_call_output"}, {"call_id", id}, {"output", m.text()}})
		}
	}
	return append(append(o, member{"input", items}), s.tools()...)
}

func converseFormat(t talk, s style) obj {
	point := func(blocks []any) []any {
		if s.flip() {
			return append(blocks, obj{{"cachePoint", obj{{"type", "default"}}}})
		}
		return blocks
	}
	var o obj
	if t.system != "" {
		o = append(o, member{"system", point([]any{obj{{"text", t.system}}})})
	}
	var messages []any
	id := s.toolID()
	for _, m := range t.said {
		role, blocks := "assistant", []any(nil)
		if s.flip() && (m.who == "model" || m.who == "call") {
			blocks = append(blocks, obj{{"reasoningContent", obj{{"reasoningText", obj{{"text", "hm"}, {"signature", fmt.Sprint(s.number())}}}}}})
		}
		switch m.who {
		case "user":
			role = "user"
			if m.image != "" {
				blocks = append(blocks, obj{{"image", obj{{"format", "png"}, {"source", obj{{"bytes", m.image}}}}}})
			}
			for _, text := range m.texts {
				blocks = append(blocks, obj{{"text", text}})
			}
		case "model":
			blocks = append(blocks, obj{{"text", s.answer(m.text())}})
		case "call":
			blocks = append(blocks, obj{{"toolUse", obj{{"toolUseId", id}, {"name", "read"}, {"input", obj{{"path", m.text()}}}}}})
		case "result":
			role = "user"
			blocks = append(blocks, obj{{"toolResult", obj{{"toolUseId", id}, {"status", "success"}, {"content", []any{obj{{"text", m.text()}}}}}}})
		}
		messages = append(messages, obj{{"role", role}, {"content", point(blocks)}})
	}
	o = append(o, member{"messages", messages})
	return append(o, s.some("toolConfig", obj{{"tools", point([]any{obj{{"toolSpec", obj{{"name", "read"}}}}})}})...)
}

func ollamaFormat(t talk, s style) obj {
	var messages []any
	if t.system != "" {
		messages = append(messages, obj{{"role", "system"}, {"content", t.system}})
	}
	for _, m := range t.said {
		switch m.who {
		case "user":
			o := obj{{"role", "user"}, {"content", m.text()}}
			if m.image != "" {
				o = append(o, member{"images", []any{m.image}})
			}
			messages = append(messages, o)
		case "model":
			messages = append(messages, append(obj{{"role", "assistant"}, {"content", s.answer(m.text())}}, s.some("thinking", "hm")...))
		case "call":
			messages = append(messages, obj{{"role", "assistant"}, {"content", ""}, {"tool_calls", []any{obj{{"function", obj{{"name", "read"}, {"arguments", obj{{"path", m.text()}}}}}}}}})
		case "result":
			messages = append(messages, obj{{"role", "tool"}, {"content", m.text()}, {"tool_name", "read"}})
		}
	}
	return append(obj{{"model", "m"}, {"messages", messages}}, s.tools()...)
}

func cohereFormat(t talk, s style) obj {
	o := chatFormat(t, s)
	if s.flip() {
		o = append(o, member{"documents", []any{obj{{"data", fmt.Sprint(s.number())}}}})
	}
	for i := range o[1].value.([]any) {
		m := o[1].value.([]any)[i].(obj)
		if m[0].value == "developer" {
			m[0].value = "system"
		}
		if m[0].value == "assistant" {
			o[1].value.([]any)[i] = append(m, s.some("tool_plan", "I will read")...)
		}
	}
	return o
}

func interactionsFormat(t talk, s style) obj {
	o := obj{{"model", "m"}}
	if t.system != "" {
		o = append(o, member{"system_instruction", t.system})
	}
	var steps []any
	steps2 := s.flip()
	step := func(role, kind string, content any) {
		if steps2 {
			steps = append(steps, obj{{"type", kind}, {"content", content}})
		} else {
			steps = append(steps, obj{{"role", role}, {"content", content}})
		}
	}
	id := s.toolID()
	for _, m := range t.said {
		switch m.who {
		case "user":
			content := s.content(m, "text", obj{{"type", "image"}, {"mime_type", "image/png"}, {"data", m.image}})
			if len(t.said) == 1 && s.flip() {
				return append(o, member{"input", content})
			}
			step("user", "user_input", content)
		case "model":
			step("model", "model_output", []any{obj{{"type", "text"}, {"text", s.answer(m.text())}}})
		case "call":
			if steps2 {
				steps = append(steps, obj{{"type", "function_call"}, {"id", id}, {"name", "read"}, {"arguments", obj{{"path", m.text()}}}})
			} else {
				step("model", "", []any{obj{{"type", "function_call"}, {"id", id}, {"name", "read"}, {"arguments", obj{{"path", m.text()}}}}})
			}
		case "result":
			if steps2 {
				steps = append(steps, obj{{"type", "function_result"}, {"call_id", id}, {"result", m.text()}})
			} else {
				step("user", "", []any{obj{{"type", "function_result"}, {"call_id", id}, {"result", m.text()}}})
			}
		}
	}
	return append(append(o, member{"input", steps}), s.tools()...)
}

// json writes v in a style of JSON: any order of members, white space and way
// to escape.
func (s style) json(v any) []byte { return s.append(nil, v) }

func (s style) append(b []byte, v any) []byte {
	b = s.space(b)
	switch v := v.(type) {
	case nil:
		b = append(b, "null"...)
	case bool:
		b = fmt.Append(b, v)
	case raw:
		b = append(b, v...)
	case string:
		b = s.text(b, v)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = s.append(b, e)
		}
		b = append(b, ']')
	case obj:
		if s.random != nil {
			v = append(obj(nil), v...)
			s.random.Shuffle(len(v), func(i, j int) { v[i], v[j] = v[j], v[i] })
		}
		b = append(b, '{')
		for i, m := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = s.space(b)
			b = s.text(b, m.name)
			b = append(s.space(b), ':')
			b = s.append(b, m.value)
		}
		b = append(b, '}')
	default:
		panic(fmt.Sprintf("%T", v))
	}
	return s.space(b)
}

func (s style) space(b []byte) []byte {
	for s.random != nil && s.random.IntN(8) == 0 {
		b = append(b, " \n\t\r"[s.random.IntN(4)])
	}
	return b
}

// text writes a string as some writer of JSON would: plainly, for HTML (Go),
// with slashes escaped (PHP), in ASCII (Python), or with all that at random.
func (s style) text(b []byte, text string) []byte {
	writer := 0
	if s.random != nil {
		writer = s.random.IntN(5)
	}
	hex := func(r rune) {
		format := `\u%04x`
		if s.flip() {
			format = `\u%04X`
		}
		if hi, lo := utf16.EncodeRune(r); r > 0xffff {
			b = fmt.Appendf(b, format+format, hi, lo)
		} else {
			b = fmt.Appendf(b, format, r)
		}
	}
	b = append(b, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case writer == 4 && s.random.IntN(4) == 0:
			hex(r)
		case r < ' ':
			if i := strings.IndexRune("\b\f\n\r\t", r); i >= 0 {
				b = append(b, '\\', "bfnrt"[i])
			} else {
				hex(r)
			}
		case (r == '<' || r == '>' || r == '&' || r == '\u2028') && writer == 1:
			hex(r)
		case r == '/' && writer == 2:
			b = append(b, '\\', '/')
		case r > '~' && writer == 3:
			hex(r)
		default:
			b = append(b, string(r)...)
		}
	}
	return append(b, '"')
}
