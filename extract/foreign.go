package extract

import "encoding/binary"

// Applications speak to models in the language of their users. This file knows Chinese,
// Japanese, Korean, Russian, German, French, Spanish and Portuguese. In each of them, words of
// the same kinds say what a side call wants, so one list has the words of all languages: a
// prompt in one has hardly any of the others.

// foreignWish is soleWish for prompts in languages other than English. alone says that the prompt
// is all that a person wrote: that person may well want a talk with somebody else summarized.
func foreignWish(text []byte, alone bool) Class {
	switch lower := foreignBeginning(text); {
	case lower == nil, !talkAtHand.in(lower), foreignOthers.in(lower):
	case foreignTitles.in(lower):
		return Auxiliary
	case !alone && foreignSummaries.in(lower):
		return Compaction
	}
	return Turn
}

// foreignBeginning is loweredBeginning of a text, or nil if that is all ASCII, as in most.
func foreignBeginning(text []byte) []byte {
	var all uint64
	for rest := text[:min(len(text), maxBeginning)]; len(rest) >= 8; rest = rest[8:] {
		all |= binary.LittleEndian.Uint64(rest)
	}
	if all&0x8080808080808080 == 0 {
		return nil
	}
	return loweredBeginning(text)
}

// English prompts may get here, too, since many have a quote or a dash that is not ASCII. And
// people have titles and summaries made of all kinds of things. So none of these words is an
// English one as well, and a prompt must name the conversation as the current one.
var (
	talkAtHand = signs{{
		"会话标题", "对话标题", "聊天标题", "以下对话", "以下会话", "以下聊天", "下面的对话", "上面的对话", "这段对话", "给出的会话", "给定的对话", "将对话内容",
		"会話のタイトル", "以下の会話", "この会話", "대화 제목", "다음 대화", "이 대화", "этого диалога", "следующий диалог",
		"konversationstitel", "diese unterhaltung", "dieses gespräch", "bisherige unterhaltung",
		"cette conversation", "esta convers", "títulos de convers",
	}}
	foreignTitles = signs{
		{"标题", "標題", "タイトル", "제목", "назван", "заголов", "titel", "titre", "título"},
		{"生成", "总结", "命名", "作成", "付け", "생성", "작성", "генерир", "придума", "созда", "erstell", "génèr", "gener", "gere ", "crea", "crie "},
	}
	// These are orders, since a summary that has been made already is a part of many prompts.
	foreignSummaries = signs{{
		"总结以下", "总结下面", "总结上述", "总结为", "总结成", "概括以下", "概括为", "归纳以下", "归纳为", "压缩为", "压缩成",
		"要約してください", "要約を作成", "요약해", "요약하", "суммируй", "резюмируй", "fasse die", "fassen sie die",
		"résume cette", "resume esta", "resuma esta",
	}}
	foreignQuestions = signs{
		{"独立的问题", "独立、完整的问题", "独立完整的问题", "独立した質問", "독립적인 질문", "самостоятельный вопрос", "eigenständige frage"},
		{"改写", "重写", "書き換え", "다시 작성", "формулируй", "formulier"},
		{"对话", "聊天", "会話", "チャット", "대화", "иалог", "gespräch", "unterhaltung", "chatverlauf"},
	}
	// foreignOthers name other things that have a title or are summarized, or say that the model
	// is to answer as well.
	foreignOthers = signs{{
		"文章", "工单", "视频", "帖子", "邮件", "会议", "会議", "然后", "再回答", "后回答", "并回答", "每次", "必要时", "答えて", "и ответь", "und beantworte",
	}}
)
