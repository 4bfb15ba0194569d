"""Options of the engines that are not headrace's own."""

from pydantic import Field

from headrace.runtime.contracts.action import ActionConfig
from headrace.runtime.expression import Template


class ConnectOptions(ActionConfig):
    """A Kafka Connect cluster that runs the connector."""

    url: Template = Field(description="its REST API, such as `http://connect:8083`")
    name: str | None = Field(
        None, description="the connector's name; made of the names of flow and stage when left out"
    )
    user: Template | None = Field(None, description="for basic authentication")
    password: Template | None = Field(None, description="for basic authentication")


class DebeziumOptions(ActionConfig):
    """The Debezium engine in a process of its own."""

    java_home: Template | None = Field(None, description="the Java to use; found when left out")
    jvm_options: tuple[str, ...] = Field((), description="such as `-Xmx1g`")
    class_path: tuple[str, ...] = Field((), description="further jars, such as JDBC drivers")
