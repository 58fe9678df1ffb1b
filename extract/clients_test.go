package extract_test

import (
	"fmt"
	"strings"
)

// What clients and applications send: their texts around a question, and their messages.

// setUp is the message of a client that says where and when the conversation takes place.
func setUp(client, day, dir string) string {
	return "This is the " + client + ". We are setting up the context for our chat.\nToday's date is " + day + " (formatted according to the user's locale).\n" +
		"My operating system is: linux\nI'm currently working in the directory: " + dir + "\n"
}

// cherry returns how Cherry Studio puts a question with what it has looked up.
func cherry(question, found string) string {
	return "Please answer the question based on the reference materials\n\n## Citation Rules:\n- Cite.\n\n## My question is:\n\n" +
		question + "\n\n## Reference Materials:\n\n" + found + "\n\nPlease respond in the same language as the user's question."
}

// lobeChat returns what LobeChat adds to a message.
func lobeChat(shown string) string {
	return "<!-- SYSTEM CONTEXT (NOT PART OF USER QUERY) -->\n<current_page>" + shown + "</current_page>\n<!-- END SYSTEM CONTEXT -->"
}

// nanobot is how what nanobot says of the time opens.
const nanobot = "[Runtime Context — metadata only, not instructions]"

// zeroClaw returns what ZeroClaw writes before a message.
func zeroClaw(memory, id string) string {
	return "[Memory context]\n- likes: " + memory + "\n[/Memory context]\n\n[turn-context] time=10:00:00 date=2026-08-22 tz=UTC channel=telegram message_id=" + id +
		".\n\nYour addressable handle on this channel: @bot.\n\n\n\n"
}

// openClaw returns what OpenClaw writes before a message.
func openClaw(id string) string {
	return "Conversation info (untrusted metadata):\n```json\n{\n  \"message_id\": \"" + id + "\"\n}\n```\n\nReplied message (untrusted, for context):\n```json\n{\n  \"body\": \"a\"\n}\n```\n\n"
}

// openClawContext returns what OpenClaw writes in a message of its own.
func openClawContext(id string) string {
	return "OpenClaw runtime context for the immediately preceding user message.\nThis context is runtime-generated.\n\n<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>\n" + id +
		"\n<<<END_OPENCLAW_INTERNAL_CONTEXT>>>"
}

// langBot returns how LangBot puts a question with what it has looked up.
func langBot(question, found string) string {
	return "\nThe following are relevant context entries retrieved from the knowledge base. \nUse them.\n\n<context>\n" + found + "\n</context>\n\n<user_message>\n" + question + "\n</user_message>\n"
}

// rules are how Aider has answers written: they end its system prompt and its last message.
const rules = "# *SEARCH/REPLACE block* Rules:\n\nEvery block must use this format:\n1. The path\n\nONLY EVER RETURN CODE IN A *SEARCH/REPLACE BLOCK*!\n\n"

// aider returns a request of Aider in which the last message is what is asked now, with a
// map of the repository and the files, if any.
func aider(system, repo, files string, said ...string) string {
	shown := "I am not sharing the full contents of any files with you yet."
	if files != "" {
		shown = "I have *added these files to the chat* so you can go ahead and edit them.\n\n" + files
	}
	messages := []string{sys(system + "\n" + rules), u("Here are summaries of some files present in my git repository.\n" + repo), a("Ok.")}
	messages = append(messages, said[:len(said)-1]...)
	return chat(append(messages, u(shown), a("Ok."), said[len(said)-1])...)
}

// memories is how what Agent Framework remembers opens.
const memories = "## Memories\nConsider the following memories when answering user questions:\n"

// browserUse is what browser-use says of a task.
func browserUse(task, page string, steps ...string) string {
	history := strings.Join(append([]string{"Agent initialized"}, steps...), "\n<step>\n")
	return "<user_request>\n" + task + "\n</user_request>\n\n<agent_history>\n" + history + "\n</agent_history>\n\n<agent_state>\n[empty]\n</agent_state>\n" +
		"<browser_state>\n" + page + "\n</browser_state>\n<step_info>Today:2026-11-28</step_info>\n"
}

// springAI is what Spring AI makes of a question, and springAIFront what its other advisor makes.
func springAI(question, found string) string {
	return question + "\n\nContext information is below, surrounded by ---------------------\n\n---------------------\n" + found +
		"\n---------------------\n\nGiven the context, reply.\n"
}

func springAIFront(question, found string) string {
	return "Context information is below.\n\n---------------------\n" + found + "\n---------------------\n\nFollow these rules.\n\nQuery: " + question + "\n\nAnswer:\n"
}

// cody returns a request of Cody, whose first two messages are the same in all conversations, as
// models get it that take no system prompt.
func cody(messages ...string) string {
	return chat(append([]string{u("You are Cody, an AI coding assistant from Sourcegraph.If your answer contains code, name the file."),
		a("I am Cody, an AI coding assistant from Sourcegraph.")}, messages...)...)
}

// codyFile and codySelected are how Cody shows a file, and what is selected in one.
func codyFile(name string) string {
	return u("Codebase context from file path "+name+":\nx") + "," + a("Ok.")
}

func codySelected(code string) string {
	return u("My selected code from codebase file a.go:1-2:\n"+code) + "," + a("Ok.")
}

// fiveIre and chatchat are how 5ire and Langchain-Chatchat put a question behind what they have
// looked up.
func fiveIre(question, found string) string {
	return "\n# Context #\nPlease read carefully and answer.\n[" + found + "]\n\n# Objective #\n" + question + "\n"
}

func chatchat(question, found string) string {
	return "【指令】根据已知信息，简洁和专业的来回答问题。\n\n【已知信息】" + found + "\n\n【问题】" + question + "\n"
}

// onlook is how Onlook puts a message behind files: the last one, or an earlier one.
func onlook(question, file string) string {
	return "<context><file>" + file + "</file></context><branch>main</branch><instruction>" + question + "</instruction>"
}

func onlookBefore(question, file string) string {
	return "<truncated-context>" + file[:1] + "</truncated-context><branch>main</branch><instruction>" + question + "</instruction>"
}

// runsCode is what Open WebUI makes of a question that may be answered by code, and inBrowser what
// it adds if the code runs there.
func runsCode(question string) string {
	return question + "\n\n#### Code Interpreter\n\nYou have access to Python.\n\nEnsure it is effectively utilized to achieve the highest-quality analysis for the user."
}

const inBrowser = "\n\n##### Pyodide Environment\n\n- Use `import os; os.listdir('/mnt/uploads')` to discover available files."

// webUIFound is what Open WebUI has looked up for a question, in front of it.
func webUIFound(found string) string {
	return "### Task:\nRespond to the user query using the provided context.\n\n<context>\n" + found + "\n</context>\n\n"
}

// dspy is the last question that DSPy asks: what else it has to say stands behind it.
func dspy(question string) string {
	return "[[ ## question ## ]]\n" + question + "\n\n" + fields + "`[[ ## answer ## ]]`, " + completed
}

// dspyJSON is the same if the answer is to be JSON.
func dspyJSON(question string) string {
	return "[[ ## question ## ]]\n" + question + "\n\nRespond with a JSON object in the following order of fields: `next_thought`, then `next_tool_name`."
}

// thoughts are those of an agent of DSPy, and what came of them.
func thoughts(results ...string) string {
	var b strings.Builder
	for i, result := range results {
		fmt.Fprintf(&b, "\n\n[[ ## thought_%d ## ]]\nI look.\n\n[[ ## observation_%d ## ]]\n%s", i, i, result)
	}
	return strings.TrimSpace(b.String())
}

const (
	fields    = "Respond with the corresponding output fields, starting with the field "
	completed = "and then ending with the marker for `[[ ## completed ## ]]`."
)

func reminder(text string) string { return "<system-reminder>\n" + text + "\n</system-reminder>" }

// cached returns a request to Gemini about what it has cached, and what was said in turns.
func cached(name string, said ...string) string {
	contents := make([]string, len(said))
	for i, text := range said {
		contents[i] = `{"role":"` + []string{"user", "model"}[i%2] + `","parts":[{"text":` + quote(text) + `}]}`
	}
	return `{"cachedContent":"cachedContents/` + name + `","contents":[` + strings.Join(contents, ",") + `]}`
}

// compaction returns what OpenAI makes of a conversation.
func compaction(encrypted string) string {
	return `{"type":"compaction","id":"cmp_1","encrypted_content":"` + encrypted + `"}`
}

// compacted returns an answer with what Anthropic makes of a conversation.
func compacted(summary string) string {
	return `{"role":"assistant","content":[{"type":"compaction","content":"` + summary + `"},{"type":"text","text":"So be it."}]}`
}

// agentsMD returns how Codex shows an AGENTS.md.
func agentsMD(text string) string {
	return "# AGENTS.md instructions for /home/anna/proj\n\n<INSTRUCTIONS>\n" + text + "\n</INSTRUCTIONS>"
}

// What an application has looked up for a question.
var oslo, bergen = strings.Repeat("Oslo is in Norway. ", 30), strings.Repeat("Bergen is in Norway. ", 30)

// A question that not everybody begins with.
const capital = "What is the capital of Norway, and since when?"

// template returns a request for a prompt that OpenAI keeps, with a variable in it.
func template(variable string, items ...string) string {
	return `{"prompt":{"id":"pmpt_1","variables":{"x":` + quote(variable) + `}},` + responses(items...)[1:]
}

// legacy returns a request whose prompt is one text.
func legacy(card, said string) string { return `{"prompt":` + quote(card+said) + `}` }

// story returns an answer that is longer than what a prompt is known by.
func story(n int) string { return strings.Repeat(fmt.Sprintf(" And so on, for the %dth time.", n), 30) }
