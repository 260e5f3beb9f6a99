"""The tutorial's pages, the admin, an API where REST framework is installed, and streams."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from django.contrib import admin
from django.db.models import F
from django.http import FileResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import aget_object_or_404, get_object_or_404, render
from django.urls import include, path, reverse
from django.views import generic

from .models import Choice, Question


class ChoiceInline(admin.TabularInline):
    model = Choice
    extra = 1


class QuestionAdmin(admin.ModelAdmin):
    list_display = ("text", "published")
    list_filter = ("published",)
    search_fields = ("text",)
    inlines = (ChoiceInline,)


class IndexView(generic.ListView):
    queryset = Question.objects.order_by("-published")[:5]
    context_object_name = "questions"
    template_name = "index.html"


class DetailView(generic.DetailView):
    model = Question
    template_name = "detail.html"


async def results(request: Any, pk: int) -> Any:
    question = await aget_object_or_404(Question, pk=pk)
    votes = [f"{c.text}: {c.votes}" async for c in question.choice_set.order_by("pk")]
    return render(request, "results.html", {"question": question, "votes": votes})


def vote(request: Any, pk: int) -> Any:
    question = get_object_or_404(Question, pk=pk)
    chosen = question.choice_set.filter(pk=request.POST.get("choice"))
    if not chosen.update(votes=F("votes") + 1):
        context = {"question": question, "error": "You didn't select a choice."}
        return render(request, "detail.html", context)
    request.session["voted"] = pk
    return HttpResponseRedirect(reverse("polls:results", args=(pk,)))


def export(request: Any) -> Any:
    async def rows() -> Any:
        async for question in Question.objects.order_by("pk"):
            yield f"{question.pk},{question.text}\n"

    found = Question.objects.order_by("pk")
    lines = rows() if hasattr(request, "scope") else (f"{q.pk},{q.text}\n" for q in found)
    return StreamingHttpResponse(lines, content_type="text/csv")


def source(request: Any) -> Any:
    return FileResponse(open(__file__, "rb"), as_attachment=True)


def fails(request: Any) -> Any:
    Question.objects.create(text="never kept", published=None)


admin.site.register(Question, QuestionAdmin)
polls = [
    path("", IndexView.as_view(), name="index"),
    path("<int:pk>/", DetailView.as_view(), name="detail"),
    path("<int:pk>/results/", results, name="results"),
    path("<int:pk>/vote/", vote, name="vote"),
    path("export/", export, name="export"),
    path("source/", source, name="source"),
    path("fails/", fails, name="fails"),
]
urlpatterns = [
    path("polls/", include((polls, "polls"))),
    path("admin/", admin.site.urls),
]
if find_spec("rest_framework") is not None:
    from rest_framework import routers, serializers, viewsets

    class QuestionSerializer(serializers.ModelSerializer):
        class Meta:
            model = Question
            fields = ("id", "text", "published")

    class QuestionViewSet(viewsets.ModelViewSet):
        queryset = Question.objects.order_by("pk")
        serializer_class = QuestionSerializer

    router = routers.DefaultRouter()
    router.register("questions", QuestionViewSet)
    urlpatterns.append(path("api/", include(router.urls)))
