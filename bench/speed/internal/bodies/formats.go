package bodies

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// A Format is the form in which an API takes the conversation of a coding agent. Its fields
// are what stands between the texts; a # is the number of the turn.
type Format struct {
	Name string

	system string // up to the system prompt
	first  string // from there to the first question
	asked  string // behind a question
	answer string // up to the text of an answer
	call   string // from there to the name of a file in the call of a tool
	called string // behind that
	result string // up to what the tool says
	said   string // behind that
	next   string // an answer, and what comes up to the next question
	end    string // behind all turns, but for the last bracket
}

// anthropic is the Format of Agent.
var anthropic = Format{
	Name:   "Anthropic",
	system: `"model":"m-1","max_tokens":32000,"stream":true,"system":[{"type":"text","text":"`,
	first:  `","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":"`,
	asked:  `"}`,
	answer: `,{"role":"assistant","content":[{"type":"text","text":"`,
	call:   `"},{"type":"tool_use","id":"toolu_#","name":"Read","input":{"file_path":"/home/anna/`,
	called: `.go","offset":#,"limit":200}}]},`,
	result: `{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_#","content":"`,
	said:   `"}]}`,
	next:   `,{"role":"assistant","content":"Done."},{"role":"user","content":"Now `,
	end:    `],"temperature":1`,
}

// Formats are those of other APIs, and one as others than JavaScript write it.
var Formats = []Format{
	{
		Name:   "OpenAI's chat",
		system: `"model":"m-1","messages":[{"role":"system","content":"`,
		first:  `"},{"role":"user","content":"`,
		asked:  `"}`,
		answer: `,{"role":"assistant","content":"`,
		call:   `","tool_calls":[{"id":"call_#","type":"function","function":{"name":"read","arguments":"{\"path\":\"/home/anna/`,
		called: `.go\",\"offset\":#}"}}]},`,
		result: `{"role":"tool","tool_call_id":"call_#","content":"`,
		said:   `"}`,
		next:   `,{"role":"assistant","content":"Done."},{"role":"user","content":"Now `,
		end:    `],"stream":true`,
	},
	{
		Name:   "the same, written by Python",
		system: `"model": "m-1", "messages": [{"role": "system", "content": "`,
		first:  `"}, {"role": "user", "content": "`,
		asked:  `"}`,
		answer: `, {"role": "assistant", "content": "`,
		call:   `", "tool_calls": [{"id": "call_#", "type": "function", "function": {"name": "read", "arguments": "{\"path\": \"/home/anna/`,
		called: `.go\", \"offset\": #}"}}]}, `,
		result: `{"role": "tool", "tool_call_id": "call_#", "content": "`,
		said:   `"}`,
		next:   `, {"role": "assistant", "content": "Done."}, {"role": "user", "content": "Now `,
		end:    `], "stream": true`,
	},
	{
		Name:   "the same, members sorted",
		system: `"messages":[{"content":"`,
		first:  `","role":"system"},{"content":"`,
		asked:  `","role":"user"}`,
		answer: `,{"content":"`,
		call:   `","role":"assistant","tool_calls":[{"function":{"arguments":"{\"offset\":#,\"path\":\"/home/anna/`,
		called: `.go\"}","name":"read"},"id":"call_#","type":"function"}]},`,
		result: `{"content":"`,
		said:   `","role":"tool","tool_call_id":"call_#"}`,
		next:   `,{"content":"Done.","role":"assistant"},{"content":"Now `,
		end:    `],"model":"m-1","stream":true`,
	},
	{
		Name:   "Responses",
		system: `"model":"m-1","instructions":"`,
		first:  `","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"`,
		asked:  `"}]}`,
		answer: `,{"type":"message","role":"assistant","content":[{"type":"output_text","text":"`,
		call:   `"}]},{"type":"function_call","name":"read","arguments":"{\"path\":\"/home/anna/`,
		called: `.go\",\"offset\":#}","call_id":"call_#"},`,
		result: `{"type":"function_call_output","call_id":"call_#","output":"`,
		said:   `"}`,
		next:   `,{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Done."}]},{"type":"message","role":"user","content":[{"type":"input_text","text":"Now `,
		end:    `],"store":false,"stream":true`,
	},
	{
		Name:   "Gemini",
		system: `"systemInstruction":{"role":"user","parts":[{"text":"`,
		first:  `"}]},"contents":[{"role":"user","parts":[{"text":"`,
		asked:  `"}]}`,
		answer: `,{"role":"model","parts":[{"text":"`,
		call:   `"},{"functionCall":{"name":"read","args":{"path":"/home/anna/`,
		called: `.go","offset":#}}}]},`,
		result: `{"role":"user","parts":[{"functionResponse":{"id":"read-#","name":"read","response":{"output":"`,
		said:   `"}}}]}`,
		next:   `,{"role":"model","parts":[{"text":"Done."}]},{"role":"user","parts":[{"text":"Now `,
		end:    `],"generationConfig":{"temperature":1}`,
	},
	{
		Name:   "Bedrock's Converse",
		system: `"system":[{"text":"`,
		first:  `"}],"messages":[{"role":"user","content":[{"text":"`,
		asked:  `"}]}`,
		answer: `,{"role":"assistant","content":[{"text":"`,
		call:   `"},{"toolUse":{"toolUseId":"tooluse_#","name":"read","input":{"path":"/home/anna/`,
		called: `.go","offset":#}}}]},`,
		result: `{"role":"user","content":[{"toolResult":{"toolUseId":"tooluse_#","content":[{"text":"`,
		said:   `"}],"status":"success"}}]}`,
		next:   `,{"role":"assistant","content":[{"text":"Done."}]},{"role":"user","content":[{"text":"Now `,
		end:    `],"inferenceConfig":{"maxTokens":32000}`,
	},
}

// Body returns a body like those of Agent, in this format and with no id.
func (f Format) Body(size int, seed uint64) []byte {
	a := &agent{r: rand.New(rand.NewPCG(seed, 1))}
	a.WriteString("{")
	a.begin(&f, size)
	a.turns(&f, size-200)
	a.WriteString(f.end + "}")
	return valid(a.String())
}

// begin writes what stands in front of the first turn of a body of that size.
func (a *agent) begin(f *Format, size int) {
	a.WriteString(f.system + "You are an agent. ")
	a.prose(min(800, size/40))
	a.WriteString(f.first)
	a.prose(min(40, size/100))
	a.WriteString(f.asked)
}

// turns writes turns of a conversation, each with a comma before it, until the
// body has size bytes.
func (a *agent) turns(f *Format, size int) {
	for turn := 0; a.Len() < size; turn++ {
		room := size - a.Len()
		write := func(text string) { a.WriteString(strings.ReplaceAll(text, "#", strconv.Itoa(turn))) }
		write(f.answer)
		a.prose(min(10+a.r.IntN(50), 1+room/24))
		write(f.call)
		a.word()
		write(f.called)
		write(f.result)
		a.code(min(20+a.r.IntN(120), 1+room/60))
		write(f.said)
		if turn%5 == 4 {
			write(f.next)
			a.prose(12)
			write("please." + f.asked)
		}
	}
}
