// How panels are drawn: with the components of @grafana/ui that Grafana's own panels are made of.
import {
    applyNullInsertThreshold, FieldType, getDisplayValueAlignmentFactors, getFieldDisplayValues,
} from '@grafana/data';
import { BigValue, Table, TimeSeries, VizRepeater } from '@grafana/ui';

function stat({ panel, data, width, height, theme, replaceVariables }) {
    const { options } = panel;
    const getValues = () => getFieldDisplayValues({
        fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables, theme, data, timeZone: 'utc',
    });
    const draw = ({ value, count, width, height, alignmentFactors }) => (
        <BigValue
            {...options}
            value={value.display}
            count={count}
            width={width}
            height={height}
            theme={theme}
            alignmentFactors={alignmentFactors}
        />
    );
    return (
        <VizRepeater
            autoGrid
            itemSpacing={3}
            getValues={getValues}
            getAlignmentFactors={getDisplayValueAlignmentFactors}
            width={width}
            height={height}
            source={data}
            renderCounter={0}
            orientation={options.orientation}
            renderValue={draw}
        />
    );
}

function timeseries({ panel, data, width, height, range }) {
    // Where a series has no points its line is to have a gap.
    const ends = { refFieldPseudoMin: range.from.valueOf(), refFieldPseudoMax: range.to.valueOf() };
    return (
        <TimeSeries
            frames={data.map(frame => applyNullInsertThreshold({ frame, ...ends }))}
            structureRev={1}
            timeRange={range}
            timeZone={['utc']}
            width={width}
            height={height}
            legend={{ calcs: [], ...panel.options.legend }}
            options={panel.options}
        />
    );
}

const table = ({ panel, data, width, height, range, replaceVariables }) => (
    <Table
        data={data[0]}
        width={width}
        height={height}
        timeRange={range}
        fieldConfig={panel.fieldConfig}
        cellHeight={panel.options.cellHeight}
        noHeader={!panel.options.showHeader}
        initialSortBy={panel.options.sortBy}
        replaceVariables={replaceVariables}
        getActions={() => []}
    />
);

/** By type. What is not here is not in Grafana's libraries: its program draws it. */
export const PANELS = { stat, timeseries, table };

/** Whether there is a number to draw. */
export const isEmpty = data =>
    !data.some(frame => frame.fields.some(field => field.type === FieldType.number && field.values.some(value => Number.isFinite(value))));
